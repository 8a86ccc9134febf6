"""What the WebSockets of an Engine.IO connection pass on, and what they keep to themselves."""

from typing import Any

from gateway.engineio.websocket import EngineWebSocket, LocalUpgrade, ProbingWebSocket
from gateway.wire.engineio import EngineFraming
from gateway.wire.frames import WEBSOCKET


class Recorder:
    """Stands for any part: its calls are recorded."""

    framing: Any = WEBSOCKET

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> bool:
            self.calls.append(name)
            return True

        return call


def test_a_websocket_that_carries_a_connection() -> None:
    engine, transport = Recorder(), Recorder()
    carrying: Any = EngineWebSocket(engine, lambda: engine.calls.append("opened"))  # type: ignore[arg-type]
    carrying.on_open(transport)
    transport.framing = EngineFraming()
    carrying.on_open(transport)
    carrying.on_pong()
    carrying.on_reframed()
    carrying.on_partial()
    carrying.on_blocked()
    carrying.on_writable()
    carrying.on_too_large(5)
    assert engine.calls == [
        *["carry_by", "opened", "carry_by", "opened", "on_partial"],
        *["on_websocket_blocked", "on_websocket_writable", "close"],
    ]


def test_a_websocket_that_is_tried_out() -> None:
    target, deadlines, transport, engine = Recorder(), Recorder(), Recorder(), Recorder()
    probing: Any = ProbingWebSocket(target, deadlines)  # type: ignore[arg-type]
    probing.on_open(transport)
    for event in ("on_partial", "on_blocked", "on_writable", "on_pong", "on_reframed"):
        getattr(probing, event)()
    probing.on_too_large(9)
    assert transport.calls == ["close"]
    probing.switch_to(engine)
    for event in ("on_partial", "on_blocked", "on_writable"):
        getattr(probing, event)()
    probing.on_message(True, b"9")
    probing.on_message(True, b"4x")
    probing.on_close(1000, "")
    assert engine.calls == [
        *["on_partial", "on_websocket_blocked", "on_websocket_writable", "fail", "on_packet", "on_websocket_closed"]
    ]
    LocalUpgrade(engine).give_up()  # type: ignore[arg-type]
