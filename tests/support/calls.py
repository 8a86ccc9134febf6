"""Requests as a caller writes them."""

from typing import Any

from homing.v1 import router_pb2 as pb

KINDS = ("session", "user", "file", "everyone")


def push(event: str = "e", data: bytes = b"{}", **fields: Any) -> pb.PushRequest:
    """A push; the target by keyword: session=, user=, file=, everyone=, namespace=."""
    target = {kind: fields.pop(kind) for kind in (*KINDS, "namespace") if kind in fields}
    return pb.PushRequest(target=pb.Target(**target), event=event, data=data, **fields)
