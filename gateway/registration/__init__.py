"""Between the sessions that are here and the registry: incarnations, commits, acknowledgements."""
