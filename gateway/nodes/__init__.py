"""What the nodes of a cluster do for each other: they relay polls to their owners, and take connections over."""
