"""`homing compare`: routed delivery against broadcast on this machine, measured at the gateways, beside a model."""
