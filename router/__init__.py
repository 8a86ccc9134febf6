"""A call comes in, becomes a plan, goes one hop, comes back as a report."""
