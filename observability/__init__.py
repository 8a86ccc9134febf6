"""Observability: names, counters, metrics, traces."""
