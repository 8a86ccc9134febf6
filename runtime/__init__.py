"""What both services run on: the process, gRPC on the wire, the bus."""
