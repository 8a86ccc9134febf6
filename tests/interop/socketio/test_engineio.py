"""engine.io-client at /engine.io/: one message is one event, a push is one message."""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.interop.socketio.clients import TRANSPORTS
from tests.interop.socketio.driven import FOLDER, Driven, driven, pack
from tests.interop.socketio.rig import Rig

pytestmark = [pytest.mark.socketio, pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="package")]


@pytest.fixture(params=["homing", "reference"])
def rig(request: pytest.FixtureRequest) -> Rig:
    if request.param == "homing":
        return request.getfixturevalue("homing")
    return request.getfixturevalue("references")["default"]


@pytest.fixture
def user() -> str:
    return f"engine-{secrets.token_hex(4)}"


@asynccontextmanager
async def opened(rig: Rig, transports: str, **options: object) -> AsyncIterator[Driven]:
    command = ("node", str(FOLDER / "engine.mjs"))
    async with driven(*command, pack({"url": rig.url, "transports": TRANSPORTS[transports], **options})) as client:
        yield client


async def wait_open(client: Driven, transports: str) -> None:
    await client.next("open")
    if transports == "upgrade":
        await client.next("upgrade", transport="websocket")


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_messages_go_up_and_pushes_come_down(rig: Rig, user: str, transports: str) -> None:
    async with opened(rig, transports, query={"token": rig.token(user)}) as client:
        await wait_open(client, transports)
        for sent in ("grüße ✓", bytes(range(256)), '{"json": "is text"}'):
            await client.send("send", data=sent)
            event = await rig.backend.event(user)
            assert (event.name, event.args, event.ack) == ("", [sent], "")
        for number in range(20):
            assert (await rig.backend.push("n", {"n": number}, user=user)).name == "WRITTEN"
        told = [await client.next("message") for _ in range(20)]
        assert [json.loads(one["data"]) for one in told] == [{"n": number} for number in range(20)]
        assert (await rig.backend.push("raw", b"\x00\xff" * 50_000, user=user)).name in ("WRITTEN", "QUEUED")
        assert (await client.next("message"))["data"] == b"\x00\xff" * 50_000
        await client.send("close")
        assert (await client.next("close"))["reason"] == "forced close"


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_the_server_ends_it(rig: Rig, user: str, transports: str) -> None:
    async with opened(rig, transports, query={"token": rig.token(user)}) as client:
        await wait_open(client, transports)
        await rig.backend.disconnect(user, reconnect=True)
        assert (await client.next("close"))["reason"] in ("transport close", "transport error")


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_a_token_may_stand_in_a_header(homing: Rig, user: str, transports: str) -> None:
    headers = {"Authorization": f"Bearer {homing.token(user)}"}
    async with opened(homing, transports, extraHeaders=headers) as client:
        await wait_open(client, transports)
        assert (await homing.backend.push("n", 1, user=user)).name == "WRITTEN"
        assert (await client.next("message"))["data"] == "1"


@pytest.mark.parametrize("query", [{}, {"token": "no token"}], ids=["none", "bad"])
async def test_without_a_good_token_nobody_is_let_in(homing: Rig, query: dict[str, str]) -> None:
    async with opened(homing, "polling", query=query) as client:
        assert (await client.next("error"))["status"] in (400, 401, 403)
        await client.next("close")
