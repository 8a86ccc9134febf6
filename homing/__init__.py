"""Homing: push to exactly the gateways that own the receivers, and hear what became of it."""

__version__ = "0.1.0"
