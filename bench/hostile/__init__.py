"""What hostile peers can do to the router's public ports: h2spec, and a suite of attacks beside a grpcio server."""
