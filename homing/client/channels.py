"""gRPC channels to routers."""

import grpc.aio

MAX_ANSWER = 64 * 1024 * 1024  # bytes: 256 reports of 10,000 deliveries would be more, and are not asked for by anyone

OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", MAX_ANSWER),
    ("grpc.max_send_message_length", MAX_ANSWER),
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel inherits the back-off of the one before
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel that belongs to whoever closes it; it dials when it is used."""
    return grpc.aio.insecure_channel(address, options=OPTIONS)
