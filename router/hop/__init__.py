"""The hop: one gRPC stream to one incarnation of one gateway."""
