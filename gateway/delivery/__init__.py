"""A push arrives from a router, becomes one frame for many, and a verdict for each."""
