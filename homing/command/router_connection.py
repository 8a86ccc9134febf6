"""Connections to routers. Several addresses are alternatives, in their order: the first router that answers is used.

One that refuses is left at once, one that never answers after `ATTEMPT` seconds; all of them have `CONNECT_TIMEOUT`.
"""

import queue
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import grpc

from homing.client.channels import OPTIONS

ATTEMPT = 2.0  # seconds
CONNECT_TIMEOUT = 5.0  # seconds
CONNECTING = (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING)


class RouterConnection(NamedTuple):
    """A channel after its first attempt to connect. Not connected: a call fails at once, and says why."""

    address: str
    channel: grpc.Channel
    connected: bool


def connections(addresses: Sequence[str], failures: dict[str, str]) -> Iterator[RouterConnection]:
    """A connection to each address in turn, closed when the next one is wanted. `failures` gets silent addresses."""
    left = CONNECT_TIMEOUT
    for address in addresses:
        if left <= 0:
            return
        with grpc.insecure_channel(address, options=OPTIONS) as channel:
            began = time.monotonic()
            state = _wait_connected(channel, min(ATTEMPT, left))
            left -= time.monotonic() - began  # the calls' own time is not counted
            if state in CONNECTING:
                failures[address] = "no answer"
            else:
                yield RouterConnection(address, channel, state is grpc.ChannelConnectivity.READY)


def _wait_connected(channel: grpc.Channel, seconds: float) -> grpc.ChannelConnectivity:
    """The channel's state after its first attempt to connect, or after `seconds`."""
    states: queue.SimpleQueue[grpc.ChannelConnectivity] = queue.SimpleQueue()
    on_state = states.put
    channel.subscribe(on_state, try_to_connect=True)
    deadline, state = time.monotonic() + seconds, CONNECTING[0]
    try:
        while state in CONNECTING:
            state = states.get(timeout=max(0.01, deadline - time.monotonic()))
    except queue.Empty:
        return state
    finally:
        channel.unsubscribe(on_state)
    return state
