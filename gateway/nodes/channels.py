"""Shell: calls to the node ports of the other gateways."""

from collections.abc import Awaitable, Callable

from registry.model import Incarnation
from registry.node_directory import NodeDirectory
from runtime.grpc_wire.call import Call, StreamHandler
from runtime.grpc_wire.channel import Address, Channel
from runtime.grpc_wire.shared_secret import SharedSecret


class NodeChannels:
    """A channel for each node that was called."""

    def __init__(self, directory: NodeDirectory, secret: SharedSecret) -> None:
        self._directory = directory
        self._secret = secret
        self._channels: dict[Incarnation, Channel] = {}

    def knows(self, machine: int) -> bool:
        """Whether a node has this machine id."""
        return self._directory.find(machine) is not None

    async def call(self, machine: int, path: str, handler: StreamHandler) -> Call:
        """Open a stream to the node that has this machine id. OSError: there is none, or it cannot be reached."""
        known = self._directory.find(machine)
        if known is None:
            raise ConnectionError(f"no node has the machine id {machine}")
        channel = self._channels.get(known.incarnation)
        if channel is None:
            self._forget(known.incarnation.node)
            channel = self._channels[known.incarnation] = Channel(_resolver(known.node.node_address))
        return await channel.call(path, handler, self._secret.metadata())

    def _forget(self, node: str) -> None:
        """Close the channels to what the node was before."""
        for incarnation in [known for known in self._channels if known.node == node]:
            self._channels.pop(incarnation).close()

    def close(self) -> None:
        """End every call."""
        for channel in self._channels.values():
            channel.close()


def _resolver(address: str) -> Callable[[], Awaitable[list[Address]]]:
    host, _, port = address.rpartition(":")

    async def resolve() -> list[Address]:
        return [(host.strip("[]"), int(port))]

    return resolve
