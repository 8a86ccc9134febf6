"""The settings of Socket.IO."""

from typing import Annotated

import msgspec

from gateway.wire.socketio import MAX_NAMESPACE, ROOT

Namespace = Annotated[str, msgspec.Meta(pattern=r"^/[\x21-\x2b\x2d-\x3e\x40-\x7e]*\Z", max_length=MAX_NAMESPACE)]


class SocketIoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway.socketio]`: clients of Socket.IO at `/socket.io/`, and of Engine.IO alone at `/engine.io/`."""

    enabled: bool = True  # Whether the two paths are served.
    # Namespaces that clients may connect to: printable ASCII without comma and question mark.
    namespaces: tuple[Namespace, ...] = (ROOT,)
