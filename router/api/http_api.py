"""Shell: the API over HTTP/JSON (api.md, "HTTP"), beside health, readiness and metrics on one listener."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from aiohttp import web
from google.protobuf.message import Message

from homing.v1 import router_pb2
from observability.traceparent import from_headers
from router.api import json_mapping
from router.api.calls import Calls
from router.api.push_stream import PushStreamCall
from router.push import CallRefused, bad
from runtime.process.admin import MAX_BODY, Admin, Handler

log = logging.getLogger(__name__)

STATUSES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "INTERNAL": 500,
}
BATCH = 256  # pushes in one batch

Q = TypeVar("Q", bound=Message)


class HttpApi:
    """Adds the API's routes to a service's own listener."""

    def __init__(self, calls: Calls, admin: Admin) -> None:
        self._calls = calls
        for name, kind, call in self._plain():
            admin.add("POST", f"/v1/{name}", self._answers(kind, call))
        admin.add("POST", "/v1/push:batch", self._guarded(self._batch))
        admin.add("GET", "/v1/watch", self._guarded(self._watch))

    def _plain(self) -> Sequence[tuple[str, type[Message], Callable[..., Awaitable[Message]]]]:
        calls = self._calls
        return (
            ("push", router_pb2.PushRequest, calls.push),
            ("locate", router_pb2.LocateRequest, calls.locate),
            ("presence", router_pb2.PresenceRequest, calls.presence),
            ("join", router_pb2.JoinRequest, calls.join),
            ("leave", router_pb2.LeaveRequest, calls.leave),
            ("disconnect", router_pb2.DisconnectRequest, calls.disconnect),
            ("reply", router_pb2.ReplyRequest, calls.reply),
        )

    def _answers(self, kind: type[Q], call: Callable[[Q], Awaitable[Message]]) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            message = json_mapping.read(await request.read(), kind())
            if isinstance(message, router_pb2.PushRequest):
                message.traceparent = _traceparent(request) or message.traceparent
            return _json(json_mapping.write(await call(message)))

        return self._guarded(answer)

    async def _batch(self, request: web.Request) -> web.StreamResponse:
        """One request, all its reports: a PushStream of one message."""
        items = json_mapping.read_batch(await request.read())
        if len(items) > BATCH:
            raise bad("pushes", f"{len(items)} of them; at most {BATCH}")
        pushes = [item for item in items if isinstance(item, router_pb2.PushRequest)]
        for push in pushes:
            push.push_id = push.push_id or secrets.token_urlsafe(16)
        call = PushStreamCall(self._calls.settings, self._calls.delivery, self._calls.tracer, _traceparent(request))
        some = asyncio.Event()
        call.on_some = lambda _patient: some.set()
        call.take(router_pb2.PushStreamRequest(pushes=pushes), 0, time.monotonic_ns())  # its body is bounded already
        for item in items:
            if isinstance(item, json_mapping.Unreadable):
                call.refuse(*item)
        call.close()
        response = router_pb2.PushStreamResponse()
        while not call.over:
            await some.wait()
            some.clear()
            while (reports := call.reports()) is not None:
                response.reports.extend(reports.reports)
        return _json(json_mapping.write(response))

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        """One JSON object a line, until the caller goes."""
        wanted = router_pb2.WatchRequest()
        if "user" in request.query:
            wanted.user = request.query["user"]
        elif request.query.get("nodes") == "true":
            wanted.nodes = True
        changes = self._calls.watch(wanted)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        async for change in changes:
            await response.write(json_mapping.write(change) + b"\n")
        return response

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except CallRefused as refused:
                return _error(refused)
            except web.HTTPRequestEntityTooLarge:
                return _error(bad("body", f"more than {MAX_BODY} bytes"))
            except (ConnectionError, asyncio.CancelledError):
                raise  # the caller has gone
            except Exception:
                log.exception("a call failed by a fault of ours")
                return _error(CallRefused("INTERNAL", "the router failed; it is not your fault"))

        return guarded


def _traceparent(request: web.Request) -> str:
    """The caller's trace: `traceparent`, else `X-Trace-ID`, whose 32 hex digits begin a sampled trace."""
    return from_headers(request.headers.get("traceparent", ""), request.headers.get("X-Trace-ID", ""))


def _json(body: bytes, status: int = 200, **headers: str) -> web.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(body=body, status=status, content_type="application/json", headers=named)


def _error(refused: CallRefused) -> web.Response:
    request_id = secrets.token_hex(8)
    error = {"code": refused.code, "message": str(refused), "field": refused.field, "request_id": request_id}
    headers = {}
    if refused.retry_after is not None:
        headers["Retry_After"] = str(max(1, round(refused.retry_after)))
    return _json(msgspec.json.encode({"error": error}), STATUSES.get(refused.code, 500), **headers)
