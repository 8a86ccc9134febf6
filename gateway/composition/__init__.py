"""The composition of one gateway: groups of parts that build on one another, complete when they are constructed."""
