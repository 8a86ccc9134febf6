"""Core: a checked push as the node port says it."""

from homing.internal.v1 import node_pb2
from router.delivery.plan import receivers
from router.hop.port import Outgoing
from router.push import CheckedPush


def message(push: CheckedPush, epoch: int, received_ns: int, traceparent: str, call: int = 0) -> node_pb2.Push:
    """For the incarnation of this epoch; 0: for whatever incarnation reads it."""
    return node_pb2.Push(
        call=call,
        epoch=epoch,
        receivers=receivers(push.target),
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
    )


def outgoing(push: CheckedPush, received_ns: int, traceparent: str) -> Outgoing:
    """For any number of hops."""
    raw = message(push, 0, received_ns, traceparent).SerializeToString()
    return Outgoing(raw, push.size, push.ack_timeout)
