"""The load generator: worker processes with WebSocket clients (`client_worker`) and pushes (`push_worker`)."""
