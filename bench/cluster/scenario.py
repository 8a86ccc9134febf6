"""The types that all scenarios share."""

from collections.abc import Callable
from typing import Any

Figures = dict[str, Any]
"""A scenario's result: figures by name, ready for JSON."""

ReportProgress = Callable[[str], None]
"""Prints a line of progress."""
