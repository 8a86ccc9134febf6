"""The clients that are here: one object each, and who is found by which name."""
