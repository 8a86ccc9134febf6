"""gRPC on the wire for one shape: long-lived bidirectional streams with few, batched messages.

Of what the hop between router and gateway costs, the transport is most (docs/decisions/0005-the-hops-transport.md).
`connection` is HTTP/2 (RFC 9113), `messages` and `status` are gRPC over HTTP/2; all of that is core. `http2_protocol`,
`call`, `client`, `server`, `channel` and `write_batcher` are the shells over asyncio.
"""
