"""An Engine.IO connection whose last poll was answered at another node, and whose news of that is still on its way."""

from typing import Any

import pytest

from gateway.engineio.ids import ConnectionId
from gateway.engineio.transport import EngineTransport
from gateway.wire.engineio import ENGINE_POLLING
from gateway.wire.values import Message
from tests.unit.gateway.engineio.test_websocket import Recorder

FRAME = ENGINE_POLLING.frame((Message(True, (b"2[1]",)),))


class RelayedPoll:
    """A GET at another node."""

    is_relayed = True

    def __init__(self) -> None:
        self.answers: list[bytes] = []

    def answer(self, payload: bytes) -> bool:
        self.answers.append(payload)
        return False

    def refuse(self) -> None:
        self.answers.append(b"refused")


class Rig:
    def __init__(self) -> None:
        self.handler, self.websocket, self.poll = Recorder(), Recorder(), RelayedPoll()
        self.websocket.unsent = lambda: 0  # type: ignore[attr-defined]
        self.websocket.acknowledged = lambda: 0  # type: ignore[attr-defined]
        self.ended: list[object] = []
        deadlines: Any = Recorder()
        handler: Any = self.handler
        self.engine = EngineTransport(ConnectionId(5, "s" * 22), handler, deadlines, self.ended.append)
        self.engine.on_poll(self.poll)
        assert not self.engine.send(FRAME)
        assert self.poll.answers == [FRAME]
        assert self.engine.unsent() == len(FRAME)


@pytest.mark.parametrize("probed", [False, True])
def test_who_polls_again_has_the_answer(probed: bool) -> None:
    rig, following = Rig(), RelayedPoll()
    if probed:
        assert rig.engine.begin_probe(rig.websocket)  # type: ignore[arg-type]
        assert rig.handler.calls == []
    rig.engine.on_poll(following)
    assert rig.handler.calls == ["on_writable"]
    assert (rig.engine.unsent(), rig.engine.acknowledged()) == (0, len(FRAME))
    rig.engine.on_poll_written(rig.poll)
    assert following.answers == ([b"6"] if probed else [])


def test_who_upgrades_has_the_answer() -> None:
    rig = Rig()
    websocket: Any = rig.websocket
    rig.engine.begin_probe(websocket)
    assert rig.engine.upgrade(websocket)
    assert rig.handler.calls == ["on_writable", "on_reframed"]
    assert (rig.engine.unsent(), rig.engine.ping(), rig.poll.answers) == (0, True, [FRAME])


def test_who_upgrades_elsewhere_has_the_answer() -> None:
    rig = Rig()
    websocket: Any = rig.websocket
    rig.engine.begin_probe(websocket)
    rig.engine.settle_answered()
    assert rig.handler.calls == ["on_writable"]
    rig.engine.send(FRAME)
    assert rig.engine.hand_over() == FRAME
    assert (rig.ended, rig.poll.answers) == ([rig.engine], [FRAME])
