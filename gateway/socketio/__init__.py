"""Socket.IO's clients: their namespaces as sessions, their packets as commands."""
