"""Benchmarks of single parts, one module each: `python -m bench.micro.NAME`."""
