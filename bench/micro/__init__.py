"""Measurements, one file a scenario; each is run with `python -m bench.micro.NAME`."""
