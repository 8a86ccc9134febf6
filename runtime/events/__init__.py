"""Event records on their way to the bus: buffered, at least once, in order per key (docs/records.md)."""
