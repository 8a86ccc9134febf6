"""One cluster on one machine, supervised by `homing up`, and its run-dir, which other verbs read."""
