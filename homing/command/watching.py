"""What `homing watch` prints of each change."""

from collections.abc import AsyncIterator, Sequence

from homing.client.errors import Refused, Unavailable
from homing.client.router import Router
from homing.client.values import NodeDown, NodeUp, PresentSession, SessionConnected, SessionDisconnected, Synced
from homing.cluster.errors import CommandError, RouterAway
from homing.command import calls
from homing.command.output import print_line
from homing.v1 import router_pb2 as pb

Change = SessionConnected | SessionDisconnected | NodeUp | NodeDown | Synced


class WatchRefused(CommandError):
    """The router's refusal."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"refused: {refused}")
        self.code = refused.code


async def print_changes(addresses: Sequence[str], user: str | None, as_json: bool) -> None:
    """Print changes for ever. `user`: whose sessions; None: the gateways. RouterAway, WatchRefused."""
    async with Router(*addresses) as router:
        changes: AsyncIterator[Change] = router.watch_nodes() if user is None else router.watch_user(user)
        try:
            async for change in changes:
                print_line(calls.to_json(to_message(change)) if as_json else describe(change))
        except Unavailable as error:
            raise RouterAway(str(error)) from None
        except Refused as error:
            raise WatchRefused(error) from None


def describe(change: Change) -> str:
    """A change as a line for a person."""
    match change:
        case SessionConnected(present):
            since = f" since {present.connected_at:%Y-%m-%d %H:%M:%S} UTC" if present.connected_at else ""
            return f"connected     session {present.session} of {present.user} on {present.node}{since}"
        case SessionDisconnected(session):
            return f"disconnected  session {session}"
        case NodeUp(state):
            counted = f"sessions {state.sessions}, files {state.files}{', draining' if state.draining else ''}"
            return f"up            {state.node}, epoch {state.epoch}: {counted}"
        case NodeDown(node):
            return f"down          {node}"
    return "synced        what is there is listed; changes follow"


def to_message(change: Change) -> pb.WatchResponse:
    """A change in the API's form."""
    match change:
        case SessionConnected(present):
            return pb.WatchResponse(came=_to_present(present))
        case SessionDisconnected(session):
            return pb.WatchResponse(left=session)
        case NodeUp(state):
            shown = pb.NodeState(
                node=state.node,
                epoch=state.epoch,
                draining=state.draining,
                sessions=state.sessions,
                files=state.files,
                counters=state.counters,
            )
            return pb.WatchResponse(node_up=shown)
        case NodeDown(node):
            return pb.WatchResponse(node_down=node)
    return pb.WatchResponse(synced=True)


def _to_present(present: PresentSession) -> pb.PresentSession:
    message = pb.PresentSession(
        session=present.session, user=present.user, node=present.node, namespace=present.namespace
    )
    if present.connected_at is not None:
        message.connected_at.FromDatetime(present.connected_at)
    return message
