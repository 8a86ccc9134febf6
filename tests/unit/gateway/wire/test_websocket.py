"""One WebSocket over a transport in memory: messages, back-pressure, goodbyes, floods, and what is left behind."""

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

from gateway.wire import websocket
from gateway.wire.frames import close_frame, ping_frame, pong_frame, text_frame
from gateway.wire.messages import MessageLimits
from gateway.wire.unfinished import UnfinishedMessages
from gateway.wire.uploads import UploadRules
from gateway.wire.websocket import MESSAGES_PER_ITERATION, WebSocketTransport
from tests.support.frames import frame, goodbye
from tests.support.transport import MemoryTransport

LIMITS = MessageLimits(1000, 4)


class Recorder:
    """A handler that keeps what happens to it, and may react."""

    def __init__(self) -> None:
        self.received: list[object] = []
        self.react = lambda: None

    def on_open(self, transport: WebSocketTransport) -> None:
        self.received.append("opened")

    def on_message(self, text: bool, payload: bytes) -> None:
        self.received.append(payload.decode() if text else payload)
        self.react()

    def on_pong(self) -> None:
        self.received.append("pong")

    def on_partial(self) -> None:
        self.received.append("partial")

    def on_too_large(self, size: int) -> None:
        self.received.append(("too large", size))

    def on_blocked(self) -> None:
        self.received.append("blocked")

    def on_writable(self) -> None:
        self.received.append("writable")

    def on_close(self, code: int, reason: str) -> None:
        self.received.append((code, reason))


class Rig:
    """A connection between a recording peer and a transport in memory."""

    def __init__(
        self,
        behind: bytes = b"",
        handler: Recorder | None = None,
        unfinished: UnfinishedMessages | None = None,
        limits: MessageLimits = LIMITS,
    ) -> None:
        self.handler = handler or Recorder()
        self.deadlines: list[Callable[[], None]] = []
        self.transport = MemoryTransport()
        self.connection = WebSocketTransport(
            self.transport,
            self.handler,
            UploadRules(limits, unfinished or UnfinishedMessages(1_000_000), self.watch),
            "192.0.2.1:5",
        )
        self.transport.protocol = self.connection
        self.transport.reading = False
        self.connection.open(b"", behind)

    def watch(self, transport: WebSocketTransport, seconds: float) -> None:
        self.deadlines.append(transport.on_deadline)

    def receive(self, data: bytes) -> None:
        self.connection.data_received(data)


async def loop_turn() -> None:
    """Everything that was scheduled for now has run."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_it_opens_then_reads_what_came_with_the_handshake():
    rig = Rig(frame(b"first") + frame(b"sec")[:-1])
    assert rig.handler.received == ["opened", "first"]
    assert rig.transport.reading
    rig.receive(frame(b"sec")[-1:] + frame(b"\0", 2))
    assert rig.handler.received == ["opened", "first", "sec", b"\0"]


def test_send_says_whether_the_kernel_took_all(rig):
    assert rig.connection.send(text_frame(b"a"))
    assert rig.connection.unsent() == 0
    rig.transport.full = True
    assert not rig.connection.send(text_frame(b"bc"))
    assert not rig.connection.send(text_frame(b"d"))
    assert rig.connection.unsent() == 7
    rig.transport.drain()
    assert rig.handler.received == ["opened", "writable"]
    assert rig.connection.send(text_frame(b"e"))
    assert rig.transport.written == text_frame(b"a") + text_frame(b"bc") + text_frame(b"d") + text_frame(b"e")


def test_pings_of_a_client_that_does_not_read_block_and_only_the_newest_is_answered(rig):
    rig.transport.full = True
    rig.receive(frame(b"first", 9))
    rig.receive(frame(b"second", 9) + frame(b"third", 9))
    assert rig.handler.received == ["opened", "blocked"]
    rig.connection.ping()  # in vain: earlier bytes wait
    rig.transport.drain()
    assert rig.transport.written == pong_frame(b"first") + pong_frame(b"third")
    assert rig.handler.received == ["opened", "blocked", "writable"]


def test_the_heartbeat_s_own_ping_may_block(rig):
    rig.transport.full = True
    rig.connection.ping()
    assert rig.handler.received == ["opened", "blocked"]


async def test_a_message_in_pieces_is_a_sign_of_life_and_has_a_deadline(rig, monkeypatch):
    rig.receive(frame(b"x" * 500)[:100])
    rig.receive(frame(b"x" * 500)[100:200])
    assert rig.handler.received == ["opened", "partial"]
    loop = asyncio.get_running_loop()
    begun = loop.time()
    monkeypatch.setattr(loop, "time", lambda: begun + 59)
    rig.deadlines.pop()()
    assert rig.transport.written == b""
    monkeypatch.setattr(loop, "time", lambda: begun + 61)
    rig.deadlines.pop()()
    assert rig.transport.written == close_frame(1008, "a message took too long")
    rig.transport.lose()
    assert rig.handler.received[-1] == (1008, "a message took too long")


async def test_a_ping_between_the_frames_of_a_message_earns_it_no_time(rig, monkeypatch):
    rig.receive(frame(b"x" * 100, 1, fin=False))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    monkeypatch.setattr(loop, "time", lambda: begun + 59)
    rig.receive(frame(b"", 9))
    monkeypatch.setattr(loop, "time", lambda: begun + 61)
    rig.deadlines.pop()()
    assert rig.transport.written == pong_frame(b"") + close_frame(1008, "a message took too long")


async def test_a_finished_message_leaves_no_deadline_behind(rig):
    data = frame(b"x" * 500)
    rig.receive(data[:100])
    rig.receive(data[100:])
    rig.deadlines.pop()()
    assert rig.transport.written == b""
    assert rig.handler.received == ["opened", "x" * 500]


async def test_uploads_wait_for_the_nodes_budget():
    budget = UnfinishedMessages(100)
    old, new = (Rig(unfinished=budget) for _ in range(2))
    old.receive(frame(b"x" * 500)[:80])
    new.receive(frame(b"y" * 500)[:80])
    assert (old.transport.reading, new.transport.reading) == (True, False)
    assert (old.connection.reading_paused, new.connection.reading_paused) == (False, True)
    old.receive(frame(b"x" * 500)[80:])
    assert new.transport.reading
    new.transport.lose()
    assert budget.total == 0


def test_a_client_s_reason_has_no_control_characters(rig):
    rig.receive(goodbye(3000, "a\r\nX-Uid: eve\x7f\x85é".encode()))
    rig.transport.lose()
    assert rig.handler.received[-1] == (3000, "aX-Uid: eveé")


def test_pings_are_answered_and_pongs_told(rig):
    rig.connection.ping()
    rig.receive(frame(b"x", 9) + frame(b"", 10))
    assert rig.transport.written == ping_frame() + pong_frame(b"x")
    assert rig.handler.received == ["opened", "pong"]


@pytest.mark.parametrize("opcode", [9, 10])
async def test_row_51_a_flood_of_controls(rig, monkeypatch, opcode):
    now = 100.5
    monkeypatch.setattr(websocket.time, "monotonic", lambda: now)
    rig.receive(frame(b"", opcode) * 20)
    now = 101.5
    rig.receive(frame(b"", opcode) * 20)
    assert not rig.transport.written.endswith(close_frame(1008, "too many pings"))
    rig.receive(frame(b"", opcode) * 100)
    answers = b"" if opcode == 10 else pong_frame(b"") * 40
    assert rig.transport.written == answers + close_frame(1008, "too many pings")
    rig.transport.lose()
    assert rig.handler.received[-1] == (1008, "too many pings")


def test_the_clients_goodbye_is_answered(rig):
    rig.receive(frame(b"a") + goodbye(3000, b"bye") + frame(b"b"))
    assert rig.transport.written == close_frame(3000)
    assert rig.transport.closing
    assert not rig.transport.aborted
    rig.transport.lose()
    assert rig.handler.received == ["opened", "a", (3000, "bye")]


def test_an_empty_goodbye_is_1005(rig):
    rig.receive(goodbye(None))
    assert rig.transport.written == close_frame(None)
    rig.transport.lose()
    assert rig.handler.received[-1] == (1005, "")


async def test_our_goodbye_awaits_the_clients(rig):
    rig.connection.close(4408, "slow")
    rig.connection.close(1000, "again")
    assert rig.transport.written == close_frame(4408, "slow")
    assert not rig.transport.closing
    assert not rig.connection.send(text_frame(b"x"))
    rig.receive(frame(b"late") + frame(b"", 9) + goodbye(4408))
    assert rig.transport.closing
    rig.transport.lose()
    assert rig.transport.written == close_frame(4408, "slow")
    assert rig.handler.received == ["opened", (4408, "slow")]


async def test_row_50_a_client_that_does_not_answer_is_cut_off(rig, monkeypatch):
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.0)
    rig.connection.close(1000, "")
    assert rig.connection._timer is not None
    while not rig.transport.aborted:  # a timer of no seconds: some turns of the loop, no time
        await asyncio.sleep(0)


async def test_a_client_that_does_not_take_our_answer_is_cut_off(rig, monkeypatch):
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.0)
    rig.transport.full = True
    rig.receive(goodbye(1000))
    while not rig.transport.aborted:  # a timer of no seconds: some turns of the loop, no time
        await asyncio.sleep(0)


async def test_a_violation_is_told_and_the_rest_is_dropped(rig):
    rig.receive(frame(b"a") + frame(b"", 3))
    assert rig.transport.written == close_frame(1002, "an unknown opcode")
    assert rig.transport.eof
    assert not rig.transport.closing
    rig.receive(frame(b"b") + goodbye())
    rig.transport.lose()
    assert rig.handler.received == ["opened", "a", (1002, "an unknown opcode")]


async def test_a_paused_peer_hears_nothing_until_it_wants_to(rig):
    rig.handler.react = rig.connection.pause_reading
    rig.receive(frame(b"a") + frame(b"b") + frame(b"c"))
    assert rig.handler.received == ["opened", "a"]
    assert not rig.transport.reading
    rig.connection.resume_reading()
    assert rig.handler.received == ["opened", "a"]  # never from within the peer's own call
    await loop_turn()
    assert rig.handler.received == ["opened", "a", "b"]
    assert not rig.transport.reading
    rig.handler.react = lambda: None
    rig.connection.resume_reading()
    await loop_turn()
    assert rig.handler.received == ["opened", "a", "b", "c"]
    assert rig.transport.reading


async def test_many_small_messages_are_heard_in_several_iterations_of_the_loop(rig):
    messages = [b"%06d" % number for number in range(3 * MESSAGES_PER_ITERATION)]
    rig.receive(b"".join(map(frame, messages)))
    assert len(rig.handler.received) == 1 + MESSAGES_PER_ITERATION
    assert not rig.transport.reading
    rig.receive(frame(b"last"))  # what an eager transport had read already
    while not rig.transport.reading:
        await loop_turn()
    assert rig.handler.received[1:] == [message.decode() for message in messages] + ["last"]


async def test_a_large_read_is_parsed_in_pieces_but_a_payload_is_not(rig, monkeypatch):
    monkeypatch.setattr(websocket, "BYTES_PER_ITERATION", 100)
    rig.receive(frame(b"w" * 200))
    assert rig.transport.reading  # one frame is not cut
    rig.receive(frame(b"a") * 2 + frame(b"x" * 900)[:150])
    assert not rig.transport.reading
    while not rig.transport.reading:
        await loop_turn()
    rig.receive(frame(b"x" * 900)[150:500])
    assert rig.transport.reading
    rig.receive(frame(b"x" * 900)[500:] + frame(b"y"))
    while not rig.transport.reading:
        await loop_turn()
    assert [one for one in rig.handler.received[1:] if one != "partial"] == ["w" * 200, "a", "a", "x" * 900, "y"]


async def test_a_client_that_goes_while_its_messages_wait(rig):
    rig.receive(frame(b"x") * 3 * MESSAGES_PER_ITERATION)
    rig.transport.lose()
    await loop_turn()
    assert rig.handler.received[1 + MESSAGES_PER_ITERATION :] == [(1006, "")]


async def test_closing_a_paused_connection_reads_on_for_the_goodbye(rig):
    rig.connection.pause_reading()
    rig.connection.close(1000, "")
    await loop_turn()
    assert rig.transport.reading


async def test_resuming_after_the_end_is_harmless(rig):
    rig.connection.pause_reading()
    rig.connection.resume_reading()
    rig.transport.lose()
    await loop_turn()
    rig.connection.resume_reading()
    rig.connection.pause_reading()
    assert rig.handler.received == ["opened", (1006, "")]


async def test_when_it_is_gone_nothing_happens_any_more(rig):
    rig.transport.lose()
    written = rig.transport.written
    assert not rig.connection.send(text_frame(b"x"))
    assert rig.connection.unsent() == 0
    rig.connection.ping()
    rig.connection.close(1000, "")
    assert rig.transport.written == written
    assert rig.handler.received == ["opened", (1006, "")]


@pytest.mark.parametrize("where", ["on_open", "on_message", "on_pong", "on_writable", "on_close"])
async def test_a_handler_that_fails_is_our_fault_and_logged_once(where, caplog):
    class Failing(Recorder):
        def __getattribute__(self, name):
            if name == where:
                raise RuntimeError("planted")
            return super().__getattribute__(name)

    rig = Rig(handler=Failing())
    rig.receive(frame(b"a") + frame(b"", 10))
    rig.transport.full = True
    rig.connection.send(b"x")
    rig.transport.drain()
    expected = b"" if where == "on_close" else close_frame(1011, "internal error")
    assert rig.transport.written.endswith(expected)
    rig.transport.lose()
    assert [record.message for record in caplog.records] == [f"{'on_message' if where == 'on_pong' else where} failed"]


async def test_nothing_is_left_behind():
    gc.disable()
    try:
        rig = Rig(frame(b"unfinished")[:-3])
        rig.connection.close(1000, "")
        left = [weakref.ref(rig.transport), weakref.ref(rig.handler)]
        rig.transport.lose()
        connection = rig.connection
        del rig
        assert [one() for one in left] == [None, None]
        assert connection._address == "192.0.2.1:5"
    finally:
        gc.enable()
