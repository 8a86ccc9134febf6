"""The contract with callers: gRPC, and the same calls as HTTP/JSON (docs/api.md)."""
