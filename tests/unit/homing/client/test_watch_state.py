"""A watch over several streams yields each change once: what a new stream does not list has gone meanwhile."""

from homing.client.values import NodeDown, NodeUp, SessionConnected, SessionDisconnected, Synced
from homing.client.watch_state import NodeWatch, UserWatch, WatchState
from homing.v1 import router_pb2 as pb

SYNCED = pb.WatchResponse(synced=True)


def came(sid: int) -> pb.WatchResponse:
    return pb.WatchResponse(came=pb.PresentSession(session=sid, user="ada", node="one"))


def node_up(node: str, sessions: int = 0) -> pb.WatchResponse:
    return pb.WatchResponse(node_up=pb.NodeState(node=node, epoch=1, sessions=sessions))


def kinds(watch: WatchState, *messages: pb.WatchResponse) -> list[object]:  # type: ignore[type-arg]
    """The changes, each as its class and what it names."""
    found: list[object] = []
    for message in messages:
        for change in watch.apply(message):
            match change:
                case SessionConnected(present):
                    found.append(("connected", present.session))
                case SessionDisconnected(session):
                    found.append(("disconnected", session))
                case NodeUp(state):
                    found.append(("up", state.node, state.sessions))
                case NodeDown(node):
                    found.append(("down", node))
                case Synced():
                    found.append("synced")
    return found


def test_a_user_s_sessions_across_two_streams() -> None:
    watch = UserWatch()
    watch.begin()
    assert kinds(watch, came(1), came(2), SYNCED) == [("connected", 1), ("connected", 2), "synced"]
    assert kinds(watch, pb.WatchResponse(left=9), pb.WatchResponse()) == []
    watch.begin()
    assert kinds(watch, came(2), came(3), SYNCED) == [("connected", 3), ("disconnected", 1)]
    assert kinds(watch, pb.WatchResponse(left=2)) == [("disconnected", 2)]


def test_nodes_across_two_streams() -> None:
    watch = NodeWatch()
    watch.begin()
    assert kinds(watch, node_up("one"), node_up("two"), SYNCED) == [("up", "one", 0), ("up", "two", 0), "synced"]
    assert kinds(watch, node_up("one"), pb.WatchResponse(node_down="nine"), pb.WatchResponse()) == []
    assert kinds(watch, node_up("one", 5)) == [("up", "one", 5)]
    watch.begin()
    assert kinds(watch, node_up("two"), SYNCED) == [("down", "one")]
    assert kinds(watch, pb.WatchResponse(node_down="two")) == [("down", "two")]
