"""Core: the outcomes a gateway can give.

The numbers are `homing.v1.Delivery.Outcome`'s (docs/api.md, "Outcomes").
"""

from homing.v1.router_pb2 import Delivery

ACKED = Delivery.ACKED
WRITTEN = Delivery.WRITTEN
OFFLINE = Delivery.OFFLINE
DROPPED_SLOW = Delivery.DROPPED_SLOW
DUPLICATE = Delivery.DUPLICATE
EXPIRED = Delivery.EXPIRED
QUEUED = Delivery.QUEUED
UNREACHABLE = Delivery.UNREACHABLE  # by a fault of ours only: what became of it is unknown
ABSENT = 0  # not an outcome: the session is another node's, which reports it
