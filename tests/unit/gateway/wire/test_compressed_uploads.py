"""Compressed messages over a transport in memory: inflated when their turn comes, and one after the other."""

from gateway.wire.frames import close_frame
from gateway.wire.messages import MessageLimits
from gateway.wire.websocket import BYTES_PER_ITERATION
from tests.support.deflated import deflated
from tests.support.frames import frame, goodbye
from tests.unit.gateway.wire.test_websocket import Rig, loop_turn

LARGE = BYTES_PER_ITERATION + 1  # bytes
LIMITS = MessageLimits(100_000, 4, inflate=True)


def compressed(data: bytes, opcode: int = 1) -> bytes:
    return frame(deflated(data), opcode, rsv=4)


def lengths(rig: Rig) -> list[object]:
    return [len(one) if isinstance(one, str | bytes) else one for one in rig.handler.received[1:]]


def test_compressed_and_plain_messages_in_their_order() -> None:
    rig = Rig(limits=LIMITS)
    rig.receive(compressed(b"one") + frame(b"two") + compressed(b"\xff", 2) + compressed("ü".encode()))
    assert rig.handler.received == ["opened", "one", "two", b"\xff", "ü"]


async def test_one_iteration_inflates_no_more_than_one_large_message() -> None:
    rig = Rig(limits=LIMITS)
    data = compressed(bytes(LARGE)) * 3 + frame(b"last")
    assert len(data) < 1000
    rig.receive(data)
    assert lengths(rig) == [LARGE]
    assert not rig.transport.reading
    for _ in range(3):
        await loop_turn()
    assert lengths(rig) == [LARGE, LARGE, LARGE, 4]
    assert rig.transport.reading


async def test_a_message_over_the_limit_counts_as_one_too_where_it_is_discarded() -> None:
    rig = Rig(limits=MessageLimits(100_000, discard=1_000_000, inflate=True))
    rig.receive(compressed(bytes(500_000)) + frame(b"next"))
    assert rig.handler.received[1:] == [("too large", 100_001)]
    await loop_turn()
    assert rig.handler.received[2:] == ["next"]


async def test_a_violation_ends_it_and_what_came_behind_is_not_looked_at() -> None:
    rig = Rig(limits=LIMITS)
    rig.receive(frame(b"\xff", rsv=4) + frame(b"never") + compressed(b"never") + goodbye())
    assert rig.handler.received == ["opened"]
    assert rig.transport.written == close_frame(1007, "corrupt compressed data")
    rig.connection.connection_lost(None)
    assert rig.handler.received == ["opened", (1007, "corrupt compressed data")]


async def test_row_45_a_bomb() -> None:
    rig = Rig(limits=LIMITS)
    rig.receive(compressed(bytes(10_000_000)))
    assert rig.transport.written == close_frame(1009, "message too big")


async def test_after_our_close_frame_nothing_is_inflated() -> None:
    rig = Rig(limits=LIMITS)
    rig.connection.close(1000, "")
    rig.receive(frame(b"\xff", rsv=4) + compressed(b"never"))
    assert rig.handler.received == ["opened"]
    assert rig.transport.written == close_frame(1000)
