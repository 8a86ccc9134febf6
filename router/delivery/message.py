"""Core: a checked push as a message to nodes (proto/homing/internal/v1/node.proto)."""

from homing.internal.v1 import node_pb2
from router.delivery.plan import to_receivers
from router.hop.port import OutgoingPush
from router.push import CheckedPush


def to_message(push: CheckedPush, epoch: int, received_ns: int, traceparent: str, call: int = 0) -> node_pb2.Push:
    """The push for the incarnation of this epoch; epoch 0: for any incarnation that reads the bus."""
    return node_pb2.Push(
        call=call,
        epoch=epoch,
        receivers=to_receivers(push.target),
        event=push.event,
        data=push.data,
        content_type=push.content_type,
        push_id=push.push_id,
        ttl_ms=round(push.ttl * 1000),
        ack_timeout_ms=round(push.ack_timeout * 1000),
        except_sessions=push.except_sessions,
        traceparent=traceparent,
        max_deliveries=push.max_deliveries,
        received_ns=received_ns,
        linger=push.linger,
        dedup=push.dedup,
        caller=push.caller,
    )


def to_outgoing(push: CheckedPush, received_ns: int, traceparent: str) -> OutgoingPush:
    """The push encoded once, for any number of hops."""
    raw = to_message(push, 0, received_ns, traceparent).SerializeToString()
    return OutgoingPush(raw, push.size, push.ack_timeout)
