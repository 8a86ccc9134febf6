"""Shell: the API over HTTP/JSON, on a listener of its own (docs/api.md, "HTTP")."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

import msgspec
from aiohttp import web
from google.protobuf.message import Message

from homing.v1 import router_pb2
from observability.traceparent import from_headers
from router.api import json_mapping
from router.api.calls import Calls
from router.api.unread_reports import UnreadReports
from router.caller import Authenticate, Caller
from router.push import CallRefused, invalid_argument
from router.push_handler import new_push_id
from runtime.process.browser_requests import refuse_pages
from runtime.process.http_listener import HttpListener
from runtime.process.request_bodies import BodyRefused, RequestBodies, TooManyBodies

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
BATCH_PUSHES = 256
MAX_BODY = 16 * 1024 * 1024  # bytes of one request

Q = TypeVar("Q", bound=Message)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpApi:
    """The HTTP listener of the API."""

    def __init__(
        self, calls: Calls, authenticate: Authenticate, hosts: Collection[str] = (), origins: Collection[str] = ()
    ) -> None:
        """`authenticate`: each request's caller, from its `web.Request`. `hosts`, `origins`: as of `refuse_pages`."""
        self._calls = calls
        self._authenticate = authenticate
        self._bodies = RequestBodies(MAX_BODY)
        application = web.Application(middlewares=[refuse_pages(hosts, origins)])
        for name, kind, method in self._unary_calls():
            application.router.add_post(f"/v1/{name}", _with_errors(self._unary(kind, method)))
        application.router.add_post("/v1/push:batch", _with_errors(self._push_batch))
        application.router.add_get("/v1/watch", _with_errors(self._watch))
        self._listener = HttpListener(application)

    async def listen(self, host: str, port: int) -> str:
        """Open the port (0: a free one). The result is host:port. Raises OSError when the port is in use."""
        return await self._listener.listen(host, port)

    async def close(self) -> None:
        """Accept no requests; end those under way after 2 seconds."""
        await self._listener.close()

    def _unary_calls(self) -> Sequence[tuple[str, type[Message], Callable[..., Awaitable[Message]]]]:
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

    def _unary(self, kind: type[Q], method: Callable[[Caller, Q], Awaitable[Message]]) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            caller = self._authenticate(request)
            message = json_mapping.decode(await self._bodies.read(request), kind())
            if isinstance(message, router_pb2.PushRequest):
                message.traceparent = _traceparent(request) or message.traceparent
            return _json(json_mapping.encode(await method(caller, message)))

        return answer

    async def _push_batch(self, request: web.Request) -> web.StreamResponse:
        """A PushStream of one message: one request, all its reports."""
        caller = self._authenticate(request)
        items = json_mapping.decode_batch(await self._bodies.read(request))
        if len(items) > BATCH_PUSHES:
            raise invalid_argument("pushes", f"{len(items)} of them; at most {BATCH_PUSHES}")
        pushes = [item for item in items if isinstance(item, router_pb2.PushRequest)]
        without_id = [push for push in pushes if not push.push_id]
        for push in without_id:
            push.push_id = new_push_id()
        changed = asyncio.Event()
        stream = self._calls.push_stream(caller, _traceparent(request), UnreadReports(), lambda _linger: changed.set())
        message = router_pb2.PushStreamRequest(pushes=pushes)
        made_ids = {push.push_id for push in without_id}
        stream.receive(message, 0, time.monotonic_ns(), made_ids)  # size 0: MAX_BODY bounds the body
        for item in items:
            if isinstance(item, json_mapping.UnreadablePush):
                stream.refuse(item.push_id, item.refused)
        stream.close()
        response = router_pb2.PushStreamResponse()
        while not stream.finished:
            await changed.wait()
            changed.clear()
            while (reports := stream.next_response()) is not None:
                response.reports.extend(reports.reports)
        return _json(json_mapping.encode(response))

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        """One JSON object a line, until the caller disconnects."""
        watch = router_pb2.WatchRequest()
        if "user" in request.query:
            watch.user = request.query["user"]
        elif request.query.get("nodes") == "true":
            watch.nodes = True
        changes = self._calls.watch(self._authenticate(request), watch)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        async for change in changes:
            await response.write(json_mapping.encode(change) + b"\n")
        return response


def _with_errors(handler: Handler) -> Handler:
    """Answers refusals and failures of `handler` as JSON errors."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except CallRefused as refused:
            return _error(refused)
        except TooManyBodies as refused:
            return _error(CallRefused("RESOURCE_EXHAUSTED", str(refused), retry_after=1))
        except BodyRefused as refused:
            return _error(invalid_argument("body", str(refused)))
        except (ConnectionError, asyncio.CancelledError):
            raise  # the caller has disconnected
        except Exception:
            log.exception("a call failed in the router")
            return _error(CallRefused("INTERNAL", "the router failed; your request is not the cause"))

    return answer


def _traceparent(request: web.Request) -> str:
    """The caller's traceparent, from the header `traceparent` or `X-Trace-ID`; "" for none."""
    return from_headers(request.headers.get("traceparent", ""), request.headers.get("X-Trace-ID", ""))


def _json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _error(refused: CallRefused) -> web.Response:
    request_id = secrets.token_hex(8)
    error = {"code": refused.code, "message": str(refused), "field": refused.field, "request_id": request_id}
    headers = {}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(refused.retry_after)))
    return _json(msgspec.json.encode({"error": error}), STATUSES.get(refused.code, 500), headers)
