"""The registry: which sessions and files are on which gateway. Gateways write, routers read."""
