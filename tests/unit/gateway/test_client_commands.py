"""What the messages of an authenticated client do, on a real registrar over the in-memory store."""

import msgspec
import pytest

from gateway.sessions.session import Session
from tests.support.gateway import GatewayRig, received_by, send
from tests.support.wire import connection_of, leave, transport_of


async def test_hello_is_the_first_message(rig: GatewayRig) -> None:
    session = await rig.session("ada", "doc", files=("doc",))
    assert received_by(session)[0] == {
        "type": "hello",
        "session": str(session.sid),
        "user": "ada",
        "node": "node-1",
        "files": ["doc"],
        "ping_ms": 25_000,
        "max_bytes": 65_536,
        "registered": True,
    }
    assert rig.sink.kinds() == ["connect", "join"]
    connection_of(session).on_close(1000, "bye")
    assert rig.sink.kinds()[-1] == "disconnect"
    assert rig.sink.records[-1].headers["X-Reason"] == "1000 bye"
    assert not rig.index.sessions
    await rig.lifecycle.wait_no_sessions()


async def test_join_and_leave_wait_for_the_event_buffer_too(rig: GatewayRig) -> None:
    session = await rig.session("ada", "doc")
    before = len(rig.sink.records)
    rig.sink.room.clear()
    for number in range(100):
        send(session, type="join", file="doc", id=number)
        send(session, type="leave", file="doc", id=number)
    assert {message["code"] for message in received_by(session)[1:]} == {"busy"}
    assert len(rig.sink.records) == before
    assert connection_of(session).reading_paused
    rig.sink.room.set()
    await rig.settle()
    assert not connection_of(session).reading_paused


async def test_join_and_leave_by_grant(rig: GatewayRig) -> None:
    session = await rig.session("ada", "doc", "team-*")
    for id, file in enumerate(("doc", "team-7", "secret", "nobody has this one")):
        send(session, type="join", file=file, id=id)
        await rig.settle()
    heard = received_by(session)[1:]
    assert heard[:2] == [{"type": "ok", "id": 0}, {"type": "ok", "id": 1}]
    # Row 63: a file that is not granted and one that nobody has are refused in the same words.
    assert [{**message, "id": 0} for message in heard[2:]] == 2 * [
        {"type": "error", "code": "forbidden", "message": heard[2]["message"], "id": 0, "field": "file"}
    ]
    assert session.files == ("doc", "team-7")
    send(session, type="leave", file="doc", id=9)
    send(session, type="leave", file="doc", id=10)
    assert received_by(session)[-2:] == [{"type": "ok", "id": 9}, {"type": "ok", "id": 10}]
    assert rig.sink.kinds() == ["connect", "join", "join", "leave"]


async def test_a_session_may_join_so_many_files(rig: GatewayRig) -> None:
    session = await rig.session("ada", "f*")
    for number in range(4):
        send(session, type="join", file=f"f{number}", id=number)
        await rig.settle()
    assert [message["type"] for message in received_by(session)[1:]] == ["ok", "ok", "ok", "error"]


async def test_events_go_up_with_all_that_a_consumer_needs(rig: GatewayRig) -> None:
    session = await rig.session("ada", "doc", files=("doc",))
    send(session, type="event", event="edit", data={"a": [1, 2]}, file="doc", id=3)
    record = rig.sink.records[-1]
    assert record.key == "doc"
    assert record.value == b'{"a": [1, 2]}'
    assert record.headers == {
        "X-ID": str(session.sid),
        "X-Uid": "ada",
        "X-Guid": "doc",
        "X-Event": "message",
        "X-Auth-Type": "test",
        "X-Namespace": "/",
        "X-Seq": "3",
        "Content-Type": "application/json",
        "X-Name": "edit",
        "X-Ack": "3",
    }
    send(session, type="event", event="edit", data=1, file="other", id=4)
    assert received_by(session)[-1]["code"] == "forbidden"


async def test_a_bare_client_s_events_have_no_name(rig: GatewayRig) -> None:
    session = await rig.session("ada", "doc", files=("doc",), bare=True)
    connection_of(session).on_message(False, b"\x00\xff")
    record = rig.sink.records[-1]
    assert (record.value, record.key, record.headers["Content-Type"]) == (
        b"\x00\xff",
        "doc",
        "application/octet-stream",
    )
    assert "X-Name" not in record.headers
    assert transport_of(session).frames == []


async def test_a_full_buffer_is_answered_busy_and_reading_pauses_until_there_is_room(rig: GatewayRig) -> None:
    session = await rig.session()
    rig.sink.room.clear()
    send(session, type="event", event="e", data=1, id=1)
    assert received_by(session)[-1] == {
        "type": "error",
        "code": "busy",
        "message": "events cannot be taken now",
        "id": 1,
        "retry_ms": 1000,
    }
    assert not transport_of(session).reading
    rig.sink.room.set()
    await rig.settle()
    assert transport_of(session).reading


async def test_a_burst_of_joins_is_held_to_the_limit_and_one_who_left_joins_nothing(rig: GatewayRig) -> None:
    session = await rig.session("ada", "f*")
    for number in range(50):
        send(session, type="join", file=f"f{number}")
    assert len(session.files) == 3
    leaver = await rig.session("bob", "g")
    send(leaver, type="join", file="g")
    leave(leaver)
    assert rig.membership.join(leaver, "late") == []
    await rig.settle()
    assert set(rig.index.files()) == {"f0", "f1", "f2"}
    assert "late" not in {record.headers.get("X-Guid") for record in rig.sink.records}


async def test_rows_55_56_a_bad_message_names_its_field_and_ten_in_a_row_end_it(rig: GatewayRig) -> None:
    session = await rig.session()
    for number in range(10):
        assert transport_of(session).closing is None
        send(session, type="event", event=number)
    assert {(message["code"], message["field"]) for message in received_by(session)[1:]} == {("bad_message", "event")}
    assert transport_of(session).closing == (4400, "bad messages")
    linger = await rig.session("bob")
    for _ in range(20):
        connection_of(linger).on_message(True, b"{")
        send(linger, type="ping", id=1)
    assert transport_of(linger).closing is None


async def test_a_token_can_be_refreshed_by_its_own_user_only(rig: GatewayRig) -> None:
    session = await rig.session("ada")
    send(session, type="auth", token="ada doc", id=5)
    assert received_by(session)[-1] == {"type": "ok", "id": 5}
    assert session.identity.files == ("doc",)
    send(session, type="auth", token="eve", id=6)
    assert received_by(session)[-1]["code"] == "unauthorized"
    assert transport_of(session).closing == (4401, "unauthorized")


async def test_a_client_that_asks_and_never_reads_is_closed(rig: GatewayRig) -> None:
    session = await rig.session()
    transport_of(session).stuck = True
    for id in range(1000):
        send(session, type="ping", id=id)
    assert transport_of(session).closing == (4408, "slow")


async def test_at_a_drain_a_client_is_asked_to_reconnect_and_closed(rig: GatewayRig) -> None:
    session = await rig.session()
    connection_of(session).request_reconnect(close=True)
    assert received_by(session)[-1] == {"type": "reconnect", "after_ms": 1000, "reason": "draining"}
    assert transport_of(session).closing == (1012, "draining")


async def test_a_client_that_is_to_move_is_told_and_stays_and_one_that_cannot_be_told_is_closed(
    rig: GatewayRig,
) -> None:
    session, bare, stuck = await rig.session("ada"), await rig.session("bob", bare=True), await rig.session("eve")
    transport_of(stuck).stuck = True
    while transport_of(stuck).closing is None:
        send(stuck, type="ping", id=1)
    for one in (session, bare, stuck):
        connection_of(one).request_reconnect(close=False)
    assert received_by(session)[-1]["type"] == "reconnect"
    assert transport_of(session).closing is None
    assert transport_of(bare).closing == (1012, "draining")


async def test_a_client_to_which_nothing_leaves_is_closed_and_a_slow_but_steady_one_stays(rig: GatewayRig) -> None:
    steady, stalled = await rig.session("ada"), await rig.session("bob")
    for session in (steady, stalled):
        transport_of(session).stuck = True
        send(session, type="ping", id=1)
    for _ in range(6):
        transport_of(steady).acked += 1
        rig.clock.pass_seconds(9)
    assert transport_of(steady).closing is None
    assert transport_of(stalled).closing == (4408, "slow")
    rig.clock.pass_seconds(25)
    assert transport_of(steady).closing == (4408, "slow")


async def test_a_message_over_the_limit_is_answered_and_the_connection_lives(rig: GatewayRig) -> None:
    session = await rig.session()
    connection_of(session).on_too_large(72_000)
    assert received_by(session)[-1]["code"] == "too_large"
    assert "72000 bytes" in str(received_by(session)[-1]["message"])
    assert transport_of(session).closing is None


async def test_join_leave_and_an_event_are_published_in_the_order_of_their_effect(rig: GatewayRig) -> None:
    session = await rig.session("ada", "doc", files=("doc",))
    for kind in ("leave", "join"):
        send(session, type=kind, file="doc")
    send(session, type="event", event="e", data=1, file="doc")
    send(session, type="leave", file="doc")
    await rig.settle()
    assert rig.sink.kinds() == ["connect", "join", "leave", "join", "message", "leave"]


async def test_join_and_leave_in_one_write_are_both_published(rig: GatewayRig) -> None:
    session = await rig.session("ada", "doc")
    send(session, type="join", file="doc", id=1)
    send(session, type="leave", file="doc", id=2)
    await rig.settle()
    assert rig.sink.kinds() == ["connect", "join", "leave"]


@pytest.mark.parametrize("bare", [False, True])
async def test_row_32_a_session_ends_with_its_token(rig: GatewayRig, bare: bool) -> None:
    session = await rig.session("ada", bare=bare)
    rig.expiry.cancel(session)
    session.identity = msgspec.structs.replace(session.identity, expires=rig.wall + 60)
    rig.expiry.start(session)
    rig.clock.pass_seconds(64.5)
    assert transport_of(session).closing is None
    rig.clock.pass_seconds(2)
    assert transport_of(session).closing == (4401, "token expired")


async def test_row_32_a_fresh_token_moves_the_end(rig: GatewayRig) -> None:
    session = await rig.session("ada")
    session.identity = msgspec.structs.replace(session.identity, expires=rig.wall + 10)
    rig.expiry.restart(session)
    send(session, type="auth", token="ada doc", id=5)  # of the year 2033
    rig.clock.pass_seconds(100)
    assert transport_of(session).closing is None


async def test_row_32_a_wall_clock_that_was_set_back_ends_no_token_early(rig: GatewayRig) -> None:
    session = await rig.session("ada")
    session.identity = msgspec.structs.replace(session.identity, expires=rig.wall + 10)
    rig.expiry.restart(session)
    rig.wall -= 100
    rig.clock.pass_seconds(60)
    assert transport_of(session).closing is None
    rig.clock.pass_seconds(60)
    assert transport_of(session).closing == (4401, "token expired")


async def test_files_that_a_new_token_does_not_grant_are_left_but_not_the_backends(rig: GatewayRig) -> None:
    session = await rig.session("ada", "a", "b", files=("a", "b"))
    rig.membership.join_for_backend(session, "b")
    rig.membership.join_for_backend(session, "c")
    send(session, type="auth", token="ada", id=5)
    assert session.files == ("b", "c")
    assert received_by(session)[1:] == [
        {"type": "joined", "file": "c"},
        {"type": "left", "file": "a"},
        {"type": "ok", "id": 5},
    ]


async def test_one_line_is_logged_for_each_close(rig: GatewayRig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    session = await rig.session("ada")
    connection_of(session).on_close(4408, "slow")
    (line,) = [record for record in caplog.records if record.message == "connection closed"]
    assert (line.user, line.code, line.reason) == ("ada", 4408, "slow")


async def test_row_52_a_flood_of_messages_is_answered_once_and_closed(rig: GatewayRig) -> None:
    session = await rig.session()
    for number in range(1000):
        send(session, type="ping", id=number)
    assert transport_of(session).closing is None
    rig.clock.pass_seconds(0.002)  # one more by then
    send(session, type="ping", id=1000)
    send(session, type="event", event="e", data=1, id=1001)
    last = received_by(session)[-1]
    assert (last["type"], last["code"], last["retry_ms"]) == ("error", "rate", 5000)
    assert received_by(session)[-2] == {"type": "pong", "id": 1000}
    assert transport_of(session).closing == (4429, "rate")
    assert rig.counters.rate_closed == 1
    assert rig.sink.kinds() == ["connect"]


async def test_row_52_a_bare_client_is_closed_without_a_word(rig: GatewayRig) -> None:
    session = await rig.session(bare=True)
    for _ in range(1001):
        connection_of(session).on_message(True, b"x")
    assert (transport_of(session).frames, transport_of(session).closing) == ([], (4429, "rate"))


async def test_row_52_bytes_count_and_those_of_discarded_messages_too(rig: GatewayRig) -> None:
    session, other = await rig.session("ada"), await rig.session("bob")
    for _ in range(62):  # 62 x 65,000 bytes are 4 MB and a little
        assert transport_of(session).closing is None
        connection_of(session).on_message(True, b'"' + b"x" * 64_998 + b'"')
        connection_of(session).bad_messages = 0
    assert transport_of(session).closing == (4429, "rate")
    connection_of(other).on_too_large(16_000_000)
    assert received_by(other)[-1]["code"] == "too_large"
    rig.clock.pass_seconds(3.9)
    connection_of(other).on_too_large(16_000_000)
    assert transport_of(other).closing == (4429, "rate")


async def test_row_52_what_was_sent_while_nothing_was_read_is_no_flood(rig: GatewayRig) -> None:
    session = await rig.session()
    rig.sink.room.clear()
    send(session, type="event", event="e", data=1, id=1)
    rig.clock.pass_seconds(60)
    rig.sink.room.set()
    await rig.settle()
    for _ in range(20_000):
        send(session, type="event", event="e", data=1)
    assert transport_of(session).closing is None
    assert len(rig.sink.records) == 1 + 20_000


async def test_row_52_an_ack_that_was_requested_does_not_count(rig: GatewayRig) -> None:
    class Push:
        def acked(self, session: Session, data: bytes, content_type: str) -> bool:
            return True

    session = await rig.session()
    rig.acks.wait(7, Push())
    for _ in range(2000):
        send(session, type="ack", ack=7)
    assert transport_of(session).closing is None
    for _ in range(1001):
        send(session, type="ack", ack=8)
    assert transport_of(session).closing == (4429, "rate")
