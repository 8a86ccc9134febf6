"""One router's stream: how its answers leave, and when there is anything to write."""

import pytest

from gateway.delivery.router_stream import OPEN_CALLS, RouterStream
from gateway.delivery.router_streams import set_lagging
from homing.internal.v1 import node_pb2
from registry.model import Incarnation


class Rig:
    """A stream whose requests to write and to read on are kept."""

    def __init__(self) -> None:
        self.writes: list[bool] = []  # whether each may linger
        self.resumed = 0
        self.stream = RouterStream("router-1", Incarnation("node-1", 7), self._request_write, self._resume)

    def _request_write(self, linger: bool = False) -> None:
        self.writes.append(linger)

    def _resume(self) -> None:
        self.resumed += 1


@pytest.mark.parametrize("linger", [False, True])
def test_the_answer_to_a_push_may_linger_only_when_the_push_says_so(linger: bool) -> None:
    rig = Rig()
    rig.stream.opened(1)
    rig.stream.answerer(node_pb2.Push(call=3, linger=linger))(node_pb2.PushAnswer(call=3))
    assert rig.writes == [linger]
    assert [answer.call for answer in rig.stream.take().pushes] == [3]
    assert rig.stream.open_calls == 0


def test_handled_pushes_are_written_only_when_there_are_some_that_the_router_does_not_know_of() -> None:
    rig = Rig()
    rig.stream.flush_handled()
    assert rig.writes == []
    rig.stream.handled(1, 2)
    rig.stream.handled(3, 3)
    assert rig.writes == []  # it leaves with whatever next leaves
    rig.stream.flush_handled()
    assert rig.writes == [False]
    assert [(span.first, span.last) for span in rig.stream.take().handled.spans] == [(1, 3)]
    rig.stream.flush_handled()
    assert rig.writes == [False]


def test_reading_goes_on_once_there_is_room_again() -> None:
    rig = Rig()
    rig.stream.opened(OPEN_CALLS + 1)
    rig.stream.answer_push(node_pb2.PushAnswer(call=1))
    assert (rig.stream.has_room, rig.resumed) == (False, 0)
    rig.stream.answer_lingering(node_pb2.PushAnswer(call=2))
    assert (rig.stream.has_room, rig.resumed) == (True, 1)


def test_a_router_scatters_while_either_etcd_or_its_own_table_lacks_sessions() -> None:
    rig = Rig()
    said: list[bool] = []
    for change in (
        lambda: rig.stream.set_lagging(True),
        lambda: rig.stream.unregistered(True),
        lambda: rig.stream.set_lagging(False),
        lambda: rig.stream.unregistered(False),
    ):
        change()
        said.append(rig.stream.take().unregistered.any)
    assert said == [True, True, True, False]
    assert len(rig.writes) == 4


def test_the_barrier_tells_a_routers_stream_and_nobody_else() -> None:
    rig = Rig()
    set_lagging(rig.stream, True)
    set_lagging("something else", True)
    assert rig.stream.take().unregistered.any
