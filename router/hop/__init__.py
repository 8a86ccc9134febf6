"""One stream to one life of one gateway."""
