"""`homing compare`: routed delivery against broadcast, measured on this machine and extended by a model."""
