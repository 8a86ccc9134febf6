"""One stream to one incarnation of one gateway."""
