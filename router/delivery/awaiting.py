"""Shell: a delivery that was started with a callback, awaited."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from homing.v1 import router_pb2
from router.push import CallRefused, CheckedPush

if TYPE_CHECKING:
    from router.delivery.port import Delivery

Waiting = asyncio.Future[router_pb2.PushReport]


async def report_of(delivery: "Delivery", push: CheckedPush, received_ns: int) -> router_pb2.PushReport:
    """What became of one push. Raises Refused."""
    future: Waiting = asyncio.get_running_loop().create_future()
    delivery.start(push, received_ns, partial(_resolve, future))
    return await future


def _resolve(future: Waiting, result: router_pb2.PushReport | CallRefused) -> None:
    if future.done():
        return
    if isinstance(result, CallRefused):
        future.set_exception(result)
    else:
        future.set_result(result)
