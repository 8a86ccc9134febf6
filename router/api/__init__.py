"""The contract with callers: gRPC, and the same as HTTP/JSON."""
