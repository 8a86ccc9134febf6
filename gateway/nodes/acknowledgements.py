"""Shell: acks of pushes that another node has written, before it gave the client away."""

from gateway.nodes.channels import NodeChannels
from gateway.nodes.decoding import decode
from gateway.sessions.acks import Acks
from gateway.sessions.session import Session
from homing.internal.v1 import node_pb2
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.status import StreamEnded
from runtime.process.background_tasks import BackgroundTasks

PATH = "/homing.internal.v1.Node/Acknowledge"


class AckForwarder:
    """Takes the acks of this node's clients; one that belongs to another node's push goes there."""

    def __init__(self, acks: Acks, channels: NodeChannels, tasks: BackgroundTasks) -> None:
        self._acks = acks
        self._channels = channels
        self._tasks = tasks

    def acked(self, session: Session, ack: int, data: bytes, content_type: str) -> bool:
        """See `Acks.acked`. For another node's push: whether there is such a node."""
        machine = self._acks.other_owner(ack)
        if machine is None:
            return self._acks.acked(session, ack, data, content_type)
        if not self._channels.knows(machine):
            return False
        forward = node_pb2.AckForward(session=session.sid, ack=ack, data=data, content_type=content_type)
        self._tasks.start(self._forward(machine, forward))
        return False

    async def _forward(self, machine: int, forward: node_pb2.AckForward) -> None:
        """An ack that does not arrive is one that was not given: the push stays WRITTEN."""
        try:
            call = await self._channels.call(machine, PATH, _Ignored())
        except OSError:
            return
        call.send_and_half_close(forward.SerializeToString())


class AckHandler:
    """One ack that another node forwards to this one."""

    def __init__(self, acks: Acks, call: Call) -> None:
        self._acks = acks
        self._call = call

    def on_message(self, message: bytes) -> None:
        forward = decode(node_pb2.AckForward, message)
        self._acks.acked_elsewhere(forward.session, forward.ack, forward.data, forward.content_type)
        self._call.send(node_pb2.AckTaken().SerializeToString())
        self._call.end()

    def on_writable(self) -> None:
        """There is one answer."""

    def on_half_close(self) -> None:
        """The request is complete."""

    def on_end(self, how: StreamEnded) -> None:
        """Nothing is kept."""


class _Ignored:
    """The answer to a forwarded ack."""

    def on_message(self, message: bytes) -> None: ...
    def on_writable(self) -> None: ...
    def on_half_close(self) -> None: ...
    def on_end(self, how: StreamEnded) -> None: ...
