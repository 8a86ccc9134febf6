"""Faults on a cluster of real processes while a history is written, which the checker of the simulation judges.

It runs in a checkout: the rig and the checker are those of `tests/`.
"""
