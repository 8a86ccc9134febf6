"""TLS on the port for clients: certificates and their rotation, the records, the transport over a socket."""
