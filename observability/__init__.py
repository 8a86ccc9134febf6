"""How it is seen: names, logs, metrics, traces."""
