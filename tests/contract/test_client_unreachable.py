"""The client library and routers that do not answer: bounded, with a reason, and never told as delivered."""

import asyncio
import contextlib
import logging
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from homing import Router, Unavailable
from homing.client import calls
from homing.client.values import Outcome
from homing.v1 import router_pb2 as pb
from tests.support.scripted_router import ScriptedRouter

SOON = 0.4  # seconds
REFUSED = "(Connection refused|no answer)"  # the latter on a machine too busy to refuse in time
SILENCE = "(no answer|connection attempt timed out before receiving SETTINGS frame)"
REASON = rf"no router answers at {{0}} within 0.4 s \({{0}}: {REFUSED}\); is the cluster up"


async def closed_address() -> str:
    """An address where something listened a moment ago."""
    gone = await ScriptedRouter().start()
    await gone.kill()
    return gone.address


@contextlib.asynccontextmanager
async def started(address: str = "127.0.0.1:0") -> AsyncIterator[ScriptedRouter]:
    router = ScriptedRouter()
    router.replies = {"Locate": pb.LocateResponse()}
    await router.start(address)
    try:
        yield router
    finally:
        await router.kill()


async def push_until_reported(router: Router) -> None:
    """A busy machine may take longer than SOON to connect."""
    while True:
        with contextlib.suppress(Unavailable):
            assert (await router.push(user="u", event="e")).counts == {Outcome.WRITTEN: 1}
            return


@pytest.fixture
def silent_address() -> Iterator[str]:
    """An address that takes connections and never says a word, as one behind a firewall that drops packets."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


async def call(router: Router, name: str) -> Any:
    match name:
        case "push":
            return await router.push(user="u", event="e")
        case "watch":
            return await anext(router.watch_user("u"))
        case _:
            return await router.locate(user="u")


@pytest.mark.parametrize("name", ["push", "locate", "watch"])
async def test_without_a_router_every_call_ends_in_time_and_says_why(name: str) -> None:
    address = await closed_address()
    async with Router(address, connect_timeout=SOON) as router:
        began = time.monotonic()
        with pytest.raises(Unavailable, match=REASON.format(address)):
            await call(router, name)
        assert SOON <= time.monotonic() - began < SOON + 10  # not before the time that the error names


async def test_a_push_that_found_no_router_was_not_sent() -> None:
    async with Router(await closed_address(), connect_timeout=SOON) as router:
        results = await asyncio.gather(*(router.push(user="u", event="e") for _ in range(20)), return_exceptions=True)
    assert all(isinstance(error, Unavailable) and str(error).endswith("; it was not sent") for error in results)


@pytest.mark.parametrize("name", ["push", "locate", "watch"])
async def test_a_silent_address_ends_in_time_too(name: str, silent_address: str) -> None:
    async with Router(silent_address, connect_timeout=SOON) as router:
        began = time.monotonic()
        with pytest.raises(Unavailable, match=rf"\({silent_address}: {SILENCE}\)"):
            await call(router, name)
        assert SOON <= time.monotonic() - began < SOON + 1.5  # an attempt of two seconds is cut short


@pytest.mark.parametrize("name", ["push", "locate"])
async def test_a_silent_address_is_left_for_the_next_one(name: str, silent_address: str) -> None:
    async with started() as second, Router(silent_address, second.address, connect_timeout=10) as router:
        await call(router, name)
    assert second.pushes or second.calls


async def test_a_router_that_starts_in_time_is_used() -> None:
    address = await closed_address()
    async with Router(address, connect_timeout=10) as router:
        pushing = asyncio.ensure_future(router.push(user="u", event="e"))
        await asyncio.sleep(0.1)  # the first attempt has failed, or it has not: either is right
        async with started(address):
            assert (await pushing).counts == {Outcome.WRITTEN: 1}


async def test_one_line_when_the_routers_are_away_and_one_when_they_are_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "homing.client")
    address = await closed_address()
    async with Router(address, connect_timeout=SOON) as router:
        for name in ("push", "locate", "push"):
            with pytest.raises(Unavailable):
                await call(router, name)
        async with started(address):
            await push_until_reported(router)
    away, back = [record.message for record in caplog.records if record.name == "homing.client"][:2]  # then it stops
    assert re.fullmatch(rf"cannot reach router {address} \({REFUSED}\); trying {address}", away)
    assert back == f"router {address} answers"


async def test_the_time_that_a_push_waited_is_taken_from_its_ttl() -> None:
    address = await closed_address()
    async with Router(address, connect_timeout=10) as router:
        pushing = asyncio.ensure_future(router.push(user="u", event="e", ttl=20))
        await asyncio.sleep(0.2)  # it waits for a router meanwhile
        async with started(address) as scripted:
            await pushing
    (push,) = scripted.pushes
    assert 0 < push.ttl.ToNanoseconds() <= 19.8e9


async def test_a_push_whose_ttl_ends_while_it_waits_is_never_sent() -> None:
    address = await closed_address()
    async with Router(address, connect_timeout=10) as router:
        expiring = asyncio.ensure_future(router.push(user="u", event="late", ttl=0.05))
        lasting = asyncio.ensure_future(router.push(user="u", event="in time", ttl=20))
        await asyncio.sleep(0.1)  # longer than the ttl of the first
        async with started(address) as scripted:
            assert (await lasting).counts == {Outcome.WRITTEN: 1}
        with pytest.raises(Unavailable, match=r"^its ttl is over, it was not sent: "):
            await expiring
    assert [push.event for push in scripted.pushes] == ["in time"]


async def test_a_reply_whose_router_is_lost_is_not_sent_to_another() -> None:
    first, second = ScriptedRouter(), ScriptedRouter()
    begun = asyncio.Event()

    async def hang(request: pb.ReplyRequest, context: Any) -> pb.ReplyResponse:
        begun.set()
        await asyncio.Event().wait()
        return pb.ReplyResponse()

    first.Reply = hang  # type: ignore[method-assign]
    await first.start()
    await second.start()
    async with Router(first.address, second.address) as router:
        replying = asyncio.ensure_future(router.reply(7, 1))
        await begun.wait()
        await first.kill()
        with pytest.raises(Unavailable):
            await replying
    await second.kill()
    assert second.calls == []


async def test_a_push_that_was_sent_and_expires_before_it_is_sent_again_is_no_refusal() -> None:
    first = await ScriptedRouter(lambda _push: asyncio.Event().wait()).start()
    async with Router(first.address, connect_timeout=10) as router:
        pushing = asyncio.ensure_future(router.push(user="u", event="e", ttl=0.3))
        while not first.pushes:
            await asyncio.sleep(0)
        await first.kill()
        await asyncio.sleep(0.4)  # longer than the ttl
        async with started(first.address) as again:
            with pytest.raises(Unavailable, match=r"its ttl is over, .*it may or may not have been delivered"):
                await pushing
    assert again.pushes == []


async def test_a_long_connect_timeout_is_not_cut_by_the_time_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CALL_TIMEOUT", 0.2)
    address = await closed_address()
    async with Router(address, connect_timeout=20) as router:
        locating = asyncio.ensure_future(router.locate(user="u"))
        await asyncio.sleep(0.5)  # longer than the time of a call
        assert not locating.done()
        async with started(address):
            await locating


async def test_a_router_that_answers_no_call_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CALL_TIMEOUT", 0.3)
    monkeypatch.setattr(calls, "LEAST_CALL", 0.0)
    frozen = ScriptedRouter()

    async def hang(request: pb.LocateRequest, context: Any) -> pb.LocateResponse:
        await asyncio.Event().wait()
        return pb.LocateResponse()

    frozen.Locate = hang  # type: ignore[method-assign]
    await frozen.start()
    async with Router(frozen.address, connect_timeout=0.2) as router:
        with pytest.raises(Unavailable, match=rf"^router {frozen.address}: DEADLINE_EXCEEDED"):
            await router.locate(user="u")
    await frozen.kill()
