"""gRPC on the wire: the hop between routers and gateways, the public API, and etcd (docs/decisions, 5, 7 and 12).

Core: `connection` is HTTP/2 (RFC 9113) with what peers may make it do, on top of `sending_side`, `outbound`, `flow`,
`frames`, `header_blocks`, `request_rules` and `glitches`; `messages` and `status` are gRPC over HTTP/2. Shells over
asyncio: `http2_protocol`, `call`, `client`, `server`, `channel` and `write_batcher`.
"""
