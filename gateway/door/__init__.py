"""One port for all: every request head is judged here, then the transport is handed on."""
