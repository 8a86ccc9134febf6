"""Measurements: whole clusters, routed against broadcast, and single parts."""
