"""The verbs `homing bench` and `homing compare`."""
