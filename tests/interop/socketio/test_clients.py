"""Unmodified Socket.IO clients, one process each: what they do at the reference server, they do at three gateways."""

import asyncio
import secrets
from typing import Any

import pytest

from tests.interop.socketio.clients import TRANSPORTS, Kind, opened
from tests.interop.socketio.rig import HomingRig, Rig

LIBRARIES = ("socket.io-client", "socket.io-client-3", "python-socketio")
PARSERS = ("default", "msgpack")
QUICK = (
    Kind("socket.io-client", "polling"),
    Kind("socket.io-client", "upgrade"),
    Kind("socket.io-client-3", "websocket", "msgpack"),
)
KINDS = [Kind(library, transports, parser) for library in LIBRARIES for transports in TRANSPORTS for parser in PARSERS]
ALL_KINDS = [pytest.param(kind, id=str(kind), marks=[] if kind in QUICK else pytest.mark.slow) for kind in KINDS]
LARGE = 300_000  # characters of a push

pytestmark = [
    pytest.mark.socketio,
    pytest.mark.timeout(60),
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.parametrize("kind", ALL_KINDS),
]


@pytest.fixture
def user() -> str:
    return f"user-{secrets.token_hex(4)}"


async def test_an_event_goes_up_and_the_backends_reply_is_its_ack(rig: Rig, kind: Kind, user: str) -> None:
    async with opened(kind, rig.url, rig.auth(user)) as (client,):
        sid = await client.connected()
        await client.emit("seen", {"at": 1})
        await client.emit("done")
        id = await client.emit("save", "grüße ✓", {"deep": [1, None, -2.5]}, ack=True)
        seen, done, save = [await rig.backend.event(user) for _ in range(3)]
        assert seen == (sid, "/", "seen", [{"at": 1}], "")
        assert done == (sid, "/", "done", [], "")
        assert save[:4] == (sid, "/", "save", ["grüße ✓", {"deep": [1, None, -2.5]}])
        await rig.backend.reply(save, {"saved": 4}, "zwölf")
        assert await client.acked(id) == [{"saved": 4}, "zwölf"]


async def test_acks_come_in_any_order(rig: Rig, kind: Kind, user: str) -> None:
    async with opened(kind, rig.url, rig.auth(user)) as (client,):
        await client.connected()
        ids = [await client.emit("ask", number, ack=True) for number in range(3)]
        asked = [await rig.backend.event(user) for _ in ids]
        for id, event in reversed(list(zip(ids, asked, strict=True))):
            await rig.backend.reply(event, event.args[0])
            assert await client.acked(id) == event.args


async def test_a_push_comes_down_and_the_clients_ack_is_in_the_report(rig: Rig, kind: Kind, user: str) -> None:
    async with opened(kind, rig.url, rig.auth(user)) as (client,):
        sid = await client.connected()
        assert await rig.backend.push("note", {"n": "grüße"}, session=sid) == ("WRITTEN", [])
        note = await client.received("note")
        assert note["args"] == [{"n": "grüße"}]
        assert note["ack"] is None or kind.in_python  # whose handlers do not know
        pushing = asyncio.create_task(rig.backend.push("ask", 1, [2, "drei"], None, ack=True, user=user))
        ask = await client.received("ask")
        assert ask["args"] == [1, [2, "drei"], None]
        await client.ack(ask, {"yes": True})
        assert await pushing == ("ACKED", [{"yes": True}])


async def test_pushes_keep_their_order_and_a_large_one_arrives(rig: Rig, kind: Kind, user: str) -> None:
    async with opened(kind, rig.url, rig.auth(user)) as (client,):
        await client.connected()
        for number in range(30):
            assert (await rig.backend.push("n", number, user=user)).name == "WRITTEN"
        assert [(await client.received("n"))["args"] for _ in range(30)] == [[number] for number in range(30)]
        pushing = asyncio.create_task(rig.backend.push("large", "✓" * LARGE, user=user))
        assert (await client.received("large"))["args"] == ["✓" * LARGE]
        assert (await pushing).name in ("WRITTEN", "QUEUED")


async def test_binary_goes_both_ways(rig: Rig, kind: Kind, user: str) -> None:
    raw, mixed = bytes(range(256)), {"parts": [b"\x00\xff", {"last": b""}], "n": 2}
    async with opened(kind, rig.url, rig.auth(user)) as (client,):
        await client.connected()
        id = await client.emit("blob", raw, ack=True)
        blob = await rig.backend.event(user)
        assert blob.args == [raw]
        await rig.backend.reply(blob, raw[::-1])
        assert await client.acked(id) == [raw[::-1]]
        await client.emit("mixed", "first", mixed)
        assert (await rig.backend.event(user)).args == ["first", mixed]
        pushing = asyncio.create_task(rig.backend.push("picture", raw, ack=True, user=user))
        picture = await client.received("picture")
        assert picture["args"] == [raw]
        await client.ack(picture, raw)
        assert await pushing == ("ACKED", [raw])


async def test_files_are_joined_in_connect_and_by_events(rig: Rig, kind: Kind, user: str) -> None:
    first, second = f"first-{user}", f"second-{user}"
    auth = {"token": rig.token(user, first, second), "files": [first]}
    async with opened(kind, rig.url, auth) as (client,):
        await client.connected()
        assert (await rig.backend.push("edit", 1, file=first)).name == "WRITTEN"
        assert (await client.received("edit"))["args"] == [1]
        assert (await rig.backend.push("edit", 2, file=second)).name == "OFFLINE"
        assert await client.call("homing:join", second) == [{"ok": True}]
        assert (await rig.backend.push("edit", 3, file=second)).name == "WRITTEN"
        assert (await client.received("edit"))["args"] == [3]
        assert await client.call("homing:leave", second) == [{"ok": True}]
        assert (await rig.backend.push("edit", 4, file=second)).name == "OFFLINE"
        (refused,) = await client.call("homing:join", "somebody else's")
        assert refused["error"]["code"] == "forbidden"


async def test_two_namespaces_over_one_connection_are_two_sessions(rig: Rig, kind: Kind, user: str) -> None:
    async with opened(kind, rig.url, rig.auth(user), ["/", "/chat"]) as (root, chat):
        sids = {one["namespace"]: one["sid"] for one in [await root.driven.next("connect") for _ in range(2)]}
        assert set(sids) == {"/", "/chat"}
        assert sids["/"] != sids["/chat"]
        assert (await rig.backend.push("only", "chat", user=user, namespace="/chat")).name == "WRITTEN"
        assert (await chat.received("only"))["args"] == ["chat"]
        await chat.emit("typed", "hi")
        assert (await rig.backend.event(user))[:4] == (sids["/chat"], "/chat", "typed", ["hi"])
        if not kind.in_python:  # which leaves all at once
            await chat.disconnect()
            await chat.next("disconnect")
        assert (await rig.backend.push("still", user=user)).name == "WRITTEN"
        await root.received("still")


@pytest.mark.parametrize("refusal", ["unauthorized", "invalid_token", "forbidden", "Invalid namespace"])
async def test_a_refused_connect_is_a_connect_error(rig: Rig, kind: Kind, user: str, refusal: str) -> None:
    auths: dict[str, dict[str, Any]] = {
        "unauthorized": {},
        "invalid_token": {"token": "no token"},
        "forbidden": {"token": rig.token(user), "files": ["somebody else's"]},
    }
    namespace = "/nowhere" if refusal == "Invalid namespace" else "/"
    async with opened(kind, rig.url, auths.get(refusal, rig.auth(user)), [namespace]) as (client,):
        error = await client.next("connect_error")
    if refusal in auths:
        assert (error["data"]["code"], bool(error["message"])) == (refusal, True)
    else:
        assert error["message"] == refusal


async def test_a_client_that_disconnects_is_offline(rig: Rig, kind: Kind, user: str) -> None:
    async with opened(kind, rig.url, rig.auth(user)) as (client,):
        await client.connected()
        assert (await rig.backend.push("hello", user=user)).name == "WRITTEN"
        await client.disconnect()
        assert (await client.next("disconnect"))["active"] is False
        async with asyncio.timeout(5):
            while (await rig.backend.push("hello", user=user)).name != "OFFLINE":
                await asyncio.sleep(0.05)


async def test_after_a_disconnect_for_good_the_client_stays_away(rig: Rig, kind: Kind, user: str) -> None:
    async with opened(kind, rig.url, rig.auth(user)) as (client,):
        await client.connected()
        await rig.backend.disconnect(user, reconnect=False)
        gone = await client.next("disconnect")
        assert (gone["reason"], gone["active"]) == ("io server disconnect", False)
        assert (await rig.backend.push("hello", user=user)).name == "OFFLINE"


async def test_after_a_disconnect_with_allow_reconnect_the_client_is_back_by_itself(
    rig: Rig, kind: Kind, user: str
) -> None:
    async with opened(kind, rig.url, rig.auth(user, f"doc-{user}")) as (client,):
        before = await client.connected()
        await rig.backend.disconnect(user, reconnect=True)
        gone = await client.next("disconnect")
        if kind == Kind("python-socketio", "polling", kind.parser) and not isinstance(rig, HomingRig):
            # It takes Engine.IO's packet CLOSE for good; the reference server ends a polling connection with that.
            assert (gone["reason"], gone["active"]) == ("io server disconnect", False)
            return
        assert (gone["reason"] in ("transport close", "transport error"), gone["active"]) == (True, True), gone
        assert await client.connected() != before
        assert (await rig.backend.push("again", file=f"doc-{user}")).name == "WRITTEN"
        await client.received("again")
