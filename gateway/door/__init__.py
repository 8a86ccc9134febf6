"""One port for all: every request head is checked here, then its path's handler serves it."""
