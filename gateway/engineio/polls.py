"""Long-polling of a connection of this node: a GET that waits for packets, and a POST that brings some."""

from collections.abc import Callable

from gateway.engineio.exchange import HttpExchange
from gateway.engineio.requests import BAD_REQUEST, EngineError
from gateway.engineio.transport import EngineTransport
from gateway.wire.engineio import MalformedPayload, parse_payload


class LocalPoll:
    """A GET that has come to this node (a `gateway.engineio.transport.Poll`)."""

    __slots__ = ("_engine", "_exchange")

    is_relayed = False

    def __init__(self, exchange: HttpExchange, engine: EngineTransport) -> None:
        self._exchange = exchange
        self._engine = engine
        exchange.on_lost = lambda: engine.on_poll_lost(self)

    def answer(self, payload: bytes) -> bool:
        return self._exchange.reply(200, payload, on_written=lambda: self._engine.on_poll_written(self))

    def refuse(self) -> None:
        self._exchange.refuse(BAD_REQUEST)


Answer = Callable[[EngineError | None], None]


def post(engine: EngineTransport, body: bytes, answer: Answer) -> None:
    """Deliver the packets of a POST's body; `answer` is called once, with None when they are delivered."""
    if not engine.is_polling:
        answer(BAD_REQUEST)
        return
    try:
        packets = parse_payload(body)
    except MalformedPayload:
        answer(BAD_REQUEST)
        engine.fail()
    else:
        engine.on_post(packets, lambda delivered: answer(None if delivered else BAD_REQUEST))
