"""Plain gRPC on the wire for one shape: long-lived bidi streams with few, batched messages.

The hop between router and gateway is the price of routing, and of that price the transport is most; see
docs/decisions/0005-the-hops-transport.md. HTTP/2 (RFC 9113) is spoken by `connection`, gRPC's framing and statuses by
`messages` and `headers`; all of that is core. `client` and `server` are the thin shells over asyncio.
"""
