"""What both services stand on: the process, gRPC on the wire, the bus."""
