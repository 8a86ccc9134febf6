"""Benchmarks: whole clusters (`cluster`), routed against broadcast (`compare`), single parts (`micro`)."""
