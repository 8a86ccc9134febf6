"""Clients that authenticate with their first message (docs/promises.md, row 33)."""

from collections.abc import Callable

import pytest

from registry.lease_state import LeaseState
from tests.support.gateway import GatewayRig, received

AUTH = b'{"type": "auth", "token": "ada doc", "id": 4}'


@pytest.mark.parametrize(
    "first", ['{"type": "event", "event": "e", "data": 1}', '{"type": "auth", "token": "bad"}', "{", "[]"]
)
async def test_row_33_the_first_message_must_be_auth(rig: GatewayRig, first: str) -> None:
    connection, transport = await rig.unauthenticated()
    connection.on_message(True, first.encode())
    assert transport.closing == (4401, "unauthorized")
    assert b'"unauthorized"' in transport.frames[0]
    assert not rig.index.sessions


async def test_auth_gives_the_connection_a_session(rig: GatewayRig) -> None:
    connection, transport = await rig.unauthenticated("doc")
    connection.on_message(True, AUTH)
    assert not transport.reading
    connection.on_message(True, b'{"type": "ping"}')  # ignored before there is a session
    await rig.settle()
    (session,) = connection.sessions
    assert [message["type"] for message in received(transport)] == ["hello", "ok"]
    assert transport.reading
    assert session.files == ("doc",)
    connection.on_message(True, b'{"type": "ping"}')
    assert received(transport)[-1] == {"type": "pong"}


async def test_a_file_without_a_grant_is_forbidden_and_not_a_matter_of_another_token(rig: GatewayRig) -> None:
    connection, transport = await rig.unauthenticated("secret")
    connection.on_message(True, AUTH)
    assert transport.closing == (4403, "forbidden")
    assert (received(transport)[0]["code"], received(transport)[0]["id"]) == ("forbidden", 4)


async def test_too_many_files_are_forbidden_too(rig: GatewayRig) -> None:
    connection, transport = await rig.unauthenticated("a", "b")
    rig.admission._max_files = 1
    connection.on_message(True, b'{"type": "auth", "token": "ada *"}')
    await rig.settle()
    assert transport.closing == (4403, "forbidden")


async def test_a_first_message_over_the_limit_is_no_auth(rig: GatewayRig) -> None:
    connection, transport = await rig.unauthenticated()
    connection.on_too_large(2_000_000)
    assert transport.closing == (4401, "unauthorized")


async def test_row_33_who_does_not_authenticate_in_time_is_closed(rig: GatewayRig) -> None:
    _, silent = await rig.unauthenticated()
    in_time, quick = await rig.unauthenticated()
    rig.clock.pass_seconds(4.9)
    in_time.on_message(True, AUTH)
    await rig.settle()
    assert silent.closing is None
    rig.clock.pass_seconds(0.3)
    assert (silent.closing, quick.closing) == ((4408, "auth"), None)


async def test_a_client_that_leaves_while_it_is_registered_leaves_nothing(rig: GatewayRig) -> None:
    connection, _ = await rig.unauthenticated()
    connection.on_message(True, AUTH)
    connection.on_close(1006, "")
    await rig.settle()
    assert not rig.index.sessions
    assert rig.sink.records == []


def fence(rig: GatewayRig) -> None:
    rig.lease.state = LeaseState.FENCED


@pytest.mark.parametrize("close", [lambda rig: rig.sink.room.clear(), fence, lambda rig: rig.admission.close()])
async def test_a_late_auth_is_checked_like_an_arrival(rig: GatewayRig, close: Callable[[GatewayRig], None]) -> None:
    """Draining, fenced, or with a full event buffer: what is refused to an arrival is refused to a late auth."""
    connection, transport = await rig.unauthenticated()
    close(rig)
    connection.on_message(True, AUTH)
    await rig.settle()
    assert transport.closing == (1012, "draining")
    assert not rig.index.sessions


async def test_at_a_drain_clients_without_a_session_are_sent_elsewhere(rig: GatewayRig) -> None:
    connection, transport = await rig.unauthenticated()
    rig.authentication.close_waiting()
    assert transport.closing == (1012, "draining")
    connection.on_close(1012, "draining")
    rig.clock.pass_seconds(6)
    assert transport.closing == (1012, "draining")


async def test_a_fault_of_ours_closes_with_1011(rig: GatewayRig, caplog: pytest.LogCaptureFixture) -> None:
    connection, transport = await rig.unauthenticated()

    async def fail(files: int) -> None:
        raise RuntimeError("a fault of ours")

    rig.admission.check = fail  # type: ignore[assignment,method-assign]
    connection.on_message(True, AUTH)
    await rig.settle()
    assert transport.closing == (1011, "internal error")
    assert [record.message for record in caplog.records] == ["a task failed"]
