"""Homing: push to exactly the gateways that own the receivers, and get a delivery report.

    from homing import Router

    async with Router("127.0.0.1:8500") as router:
        report = await router.push(user="ada", event="hello", data={"text": "hi"})

The names below are imported on first use, so that `import homing` stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homing.client.errors import NoCluster as NoCluster
    from homing.client.errors import Refused as Refused
    from homing.client.errors import RouterError as RouterError
    from homing.client.errors import Unavailable as Unavailable
    from homing.client.events import TraceContext as TraceContext
    from homing.client.events import trace_of as trace_of
    from homing.client.router import Router as Router
    from homing.client.sync import SyncRouter as SyncRouter
    from homing.client.values import Delivery as Delivery
    from homing.client.values import Outcome as Outcome
    from homing.client.values import Report as Report

__version__ = "0.1.0"

_MODULES = {
    "Delivery": "values",
    "NoCluster": "errors",
    "Outcome": "values",
    "Refused": "errors",
    "Report": "values",
    "Router": "router",
    "RouterError": "errors",
    "SyncRouter": "sync",
    "TraceContext": "events",
    "Unavailable": "errors",
    "trace_of": "events",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'homing' has no attribute {name!r}")
    value: object = getattr(import_module(f"homing.client.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
