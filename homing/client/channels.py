"""gRPC channels to routers."""

import asyncio

import grpc
import grpc.aio

MAX_MESSAGE_BYTES = 64 * 1024 * 1024  # 256 reports of 10,000 deliveries would exceed it, and nobody asks for so many

OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),  # otherwise a new channel inherits the previous channel's back-off
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 3000),  # a router that is frozen or cut off is left within 6 s, for the next one
    ("grpc.keepalive_timeout_ms", 3000),
    ("grpc.http2.ping_timeout_ms", 3000),  # what gRPC core arms for a keepalive, too
    ("grpc.http2.max_pings_without_data", 0),
)


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel to `address` (host:port). It connects on first use; the caller closes it."""
    return grpc.aio.insecure_channel(address, options=OPTIONS)


async def wait_connected(channel: grpc.aio.Channel, seconds: float) -> bool:
    """Whether the channel is connected; if not, its server has refused, which the next call then says at once.

    TimeoutError: neither within `seconds`, since the server is silent or its packets are dropped.
    """
    async with asyncio.timeout(seconds):
        state = channel.get_state(try_to_connect=True)
        while state in (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING):
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)
        return state is grpc.ChannelConnectivity.READY
