"""The HTTP API on real sockets: batches, watches as lines, and every refusal and failure as one JSON error."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest

from homing.v1 import router_pb2 as pb
from router.api.calls import Calls
from router.api.http_api import BATCH_PUSHES, MAX_BODY, HttpApi
from router.api.settings import ApiSettings
from router.caller import LOOPBACK
from router.delivery.port import OnResult
from router.push import CallRefused, CheckedPush
from router.push_handler import PushHandler
from tests.support.router import RouterRig

JSON = {"Content-Type": "application/json"}
PUSH = {"target": {"user": "ada"}, "event": "e", "json": 1}


class ScriptedDelivery:
    """Reports each push at once, or refuses it, or fails, as a test has set."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.pushes: list[CheckedPush] = []

    def start(self, push: CheckedPush, _received_ns: int, on_result: OnResult) -> None:
        if self.error is not None:
            raise self.error
        self.pushes.append(push)
        on_result(pb.PushReport(push_id=push.push_id))

    async def close(self) -> None:
        """Nothing waits."""


class Api:
    """The API over a router's table and fleet, and a client of it."""

    def __init__(self, rig: RouterRig) -> None:
        self.rig = rig
        self.delivery = ScriptedDelivery()
        settings = ApiSettings()
        calls = Calls(settings, PushHandler(self.delivery, settings.max_data), rig.feed, rig.fleet)
        self.api = HttpApi(calls, lambda _request: LOOPBACK)

    async def post(self, path: str, body: object, **headers: str) -> tuple[int, dict]:
        async with self.http.post(f"/v1/{path}", json=body, headers=headers) as response:
            self.headers = response.headers
            return response.status, await response.json()

    async def error(self, path: str, body: object) -> tuple[int, str, str]:
        """Status, code and field of an error."""
        status, answer = await self.post(path, body)
        assert answer["error"]["message"]
        assert answer["error"]["request_id"]
        return status, answer["error"]["code"], answer["error"]["field"]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with RouterRig.running() as rig:
        made = Api(rig)
        address = await made.api.listen("127.0.0.1", 0)
        async with aiohttp.ClientSession(f"http://{address}") as made.http:
            yield made
        await made.api.close()


async def test_a_batch_is_reported_push_by_push_also_those_that_cannot_be_read(api: Api) -> None:
    bad = {"target": {"user": "ada"}, "event": "e", "push_id": "mine", "colour": "red"}
    status, answer = await api.post("push:batch", {"pushes": [PUSH, bad]})
    assert status == 200
    by_id = {report["push_id"]: report.get("error") for report in answer["reports"]}
    assert by_id.pop("mine")["code"] == "INVALID_ARGUMENT"
    assert list(by_id.values()) == [None]


async def test_of_a_batch_only_the_push_ids_of_the_caller_are_for_dedup(api: Api) -> None:
    await api.post("push:batch", {"pushes": [PUSH | {"push_id": "mine"}, PUSH]})
    assert [(push.push_id == "mine", push.dedup) for push in api.delivery.pushes] == [(True, True), (False, False)]


async def test_a_batch_has_a_bound(api: Api) -> None:
    assert await api.error("push:batch", {"pushes": [PUSH] * (BATCH_PUSHES + 1)}) == (400, "INVALID_ARGUMENT", "pushes")
    assert api.delivery.pushes == []


async def test_a_traceparent_in_a_header_is_the_push_s(api: Api) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await api.post("push", PUSH, traceparent=trace)
    assert api.delivery.pushes[0].traceparent == trace


async def test_a_watch_writes_one_json_object_a_line(api: Api) -> None:
    async with api.http.get("/v1/watch?nodes=true") as response, asyncio.timeout(5):
        assert response.headers["Content-Type"] == "application/x-ndjson"
        assert json.loads(await response.content.readline()) == {"synced": True}
        api.rig.feed.node("n1")
        assert json.loads(await response.content.readline())["node_up"]["node"] == "n1"


async def test_a_watch_of_nothing_is_refused(api: Api) -> None:
    async with api.http.get("/v1/watch") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "INVALID_ARGUMENT")


async def test_a_body_over_the_bound_is_refused(api: Api) -> None:
    async with api.http.post("/v1/push", data=io.BytesIO(b"x" * (MAX_BODY + 1)), headers=JSON) as response:
        assert response.status == 400
        assert (await response.json())["error"]["field"] == "body"


async def test_when_to_try_again_is_a_header_in_whole_seconds(api: Api) -> None:
    api.delivery.error = CallRefused("RESOURCE_EXHAUSTED", "the queue is full", retry_after=0.2)
    assert (await api.error("push", PUSH))[:2] == (429, "RESOURCE_EXHAUSTED")
    assert api.headers["Retry-After"] == "1"


async def test_a_fault_of_ours_is_logged_and_its_caller_learns_nothing_of_it(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api.delivery.error = ValueError("a secret of ours")
    status, answer = await api.post("push", PUSH)
    assert (status, answer["error"]["code"]) == (500, "INTERNAL")
    assert "secret" not in answer["error"]["message"]
    assert [record.exc_info is not None for record in caplog.records if record.levelno == logging.ERROR] == [True]
