"""What clients do, on its way to the backends."""
