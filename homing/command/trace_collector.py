"""`homing trace --collect`: an OTLP receiver, over gRPC and HTTP, that prints each trace when it is complete."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

import grpc.aio
from aiohttp import web
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from homing.client.addresses import join_address, parse_address
from homing.cluster.errors import CommandError
from homing.command.collected_traces import CollectedTraces, CompleteTrace

TICK = 0.25  # seconds between two looks for complete traces
MAX_REQUEST = 16 << 20  # bytes
PROTOBUF = "application/x-protobuf"
SERVER_OPTIONS = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MAX_REQUEST))
SIGNALS = (signal.SIGINT, signal.SIGTERM)

Print = Callable[[CompleteTrace], None]


class TraceService(trace_service_pb2_grpc.TraceServiceServicer):
    """OTLP over gRPC, and over HTTP with protobuf bodies."""

    def __init__(self, traces: CollectedTraces) -> None:
        self._traces = traces

    async def Export(
        self, request: ExportTraceServiceRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> ExportTraceServiceResponse:
        self._traces.add(request, time.monotonic())
        return ExportTraceServiceResponse()

    async def post(self, request: web.Request) -> web.Response:
        """The answer to `POST /v1/traces`. Bodies in JSON are refused: no exporter sends them by default."""
        if request.content_type != PROTOBUF:
            raise web.HTTPUnsupportedMediaType(text=f"only {PROTOBUF}")
        try:
            message = ExportTraceServiceRequest.FromString(await request.read())
        except DecodeError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        self._traces.add(message, time.monotonic())
        return web.Response(body=ExportTraceServiceResponse().SerializeToString(), content_type=PROTOBUF)


async def collect(grpc_address: str, http_address: str, on_ready: Callable[[str, str], None], show: Print) -> None:
    """Receive until SIGINT or SIGTERM. `on_ready`: called with the addresses, which may have had port 0.

    CommandError: an address is in use. What is not complete at the end is shown as it is.
    """
    traces = CollectedTraces()
    service = TraceService(traces)
    grpc_bound, close_grpc = await _serve_grpc(service, grpc_address)
    try:
        http_bound, close_http = await _serve_http(service, http_address)
        try:
            on_ready(grpc_bound, http_bound)
            await _show_until_signal(traces, show)
        finally:
            await close_http()
    finally:
        await close_grpc()


async def _show_until_signal(traces: CollectedTraces, show: Print) -> None:
    stop = asyncio.Event()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not stop.is_set():
        for trace in traces.take_complete(time.monotonic()):
            show(trace)
        try:
            await asyncio.wait_for(stop.wait(), TICK)
        except TimeoutError:
            continue
    for trace in traces.take_all():
        show(trace)


Bound = tuple[str, Callable[[], Awaitable[None]]]


async def _serve_grpc(service: TraceService, address: str) -> Bound:
    server = grpc.aio.server(options=SERVER_OPTIONS)
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    host, port = _split(address)
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError:
        raise _cannot_listen("--grpc", address, "in use, or not an address of this machine") from None
    await server.start()

    async def close() -> None:
        await server.stop(grace=None)

    return join_address(host, bound or port), close


async def _serve_http(service: TraceService, address: str) -> Bound:
    application = web.Application(client_max_size=MAX_REQUEST)
    application.router.add_post("/v1/traces", service.post)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    host, port = _split(address)
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise _cannot_listen("--http", address, error.strerror or str(error)) from None
    return join_address(host, runner.addresses[0][1]), runner.cleanup


def _split(address: str) -> tuple[str, int]:
    found = parse_address(address)
    assert found is not None  # the option's type has judged it
    return found


def _cannot_listen(option: str, address: str, why: str) -> CommandError:
    return CommandError(f"cannot listen at {address} ({why}); name another address with {option} HOST:PORT")
