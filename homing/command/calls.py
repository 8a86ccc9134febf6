"""One call to a router from a verb: its address, the call, and a refusal as a message or JSON with exit status 1."""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

import click

from homing.cluster.errors import RouterAway
from homing.command import failures

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from homing.v1.router_pb2 import Error
    from homing.v1.router_pb2_grpc import RouterStub

Response = TypeVar("Response", bound="Message")

DEADLINE_MARGIN = 10.0  # seconds beyond a push's ttl until the call is given up
FIELD_METADATA = "homing-field"  # trailing metadata of a refusal: the field at fault
UNREACHABLE_CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def call(
    run_dir: Path, router: str | None, as_json: bool, send: "Callable[[RouterStub, float], Response]", timeout: float
) -> "Response":
    """The response of `send(stub, timeout)`. A refusal is printed and exits 1. RouterAway: no router answers."""
    import grpc

    from homing.v1.router_pb2_grpc import RouterStub

    address = router or _first_router(run_dir)
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            return send(RouterStub(channel), timeout + DEADLINE_MARGIN)  # type: ignore[no-untyped-call]
        except grpc.RpcError as error:
            _raise_error(address, cast("grpc.Call", error), as_json)  # grpcio raises the call itself


def _first_router(run_dir: Path) -> str:
    from homing.cluster import cluster_file

    routers = cluster_file.read(run_dir).routers
    if not routers:
        raise RouterAway(
            f"{cluster_file.path(run_dir)} names no router: all have died; stop `homing up` and start it again"
        )
    return routers[0].grpc


def _raise_error(address: str, error: "grpc.Call", as_json: bool) -> NoReturn:
    code, details = error.code().name, error.details() or ""
    metadata = {key: value for key, value in _pairs(error.trailing_metadata()) if isinstance(value, str)}
    if code in UNREACHABLE_CODES and FIELD_METADATA not in metadata and not _pairs(error.initial_metadata()):
        raise RouterAway(
            f"no router answers at {address} ({_reason(details)}); "
            "is the cluster up (`homing up`), is the address right?"
        )
    refuse(code, details, metadata.get(FIELD_METADATA, ""), as_json)


def _pairs(metadata: Iterable[tuple[str, str | bytes]] | None) -> list[tuple[str, str | bytes]]:
    return [(key, value) for key, value in metadata or ()]


def _reason(details: str) -> str:
    """The last part of grpcio's nested error text."""
    return details.rpartition(": ")[2].strip("[]() ") or details or "no answer"


def refuse(code: str, message: str, field: str, as_json: bool) -> NoReturn:
    """Print a router's refusal, and exit 1."""
    if as_json:
        click.echo(failures.to_json(code, message, field))
    else:
        suffix = f" (field: {field})" if field and not message.startswith(f"{field}:") else ""
        click.echo(f"homing: refused: {message or code}{suffix}", err=True)
    sys.exit(1)


def refuse_item(error: "Error", as_json: bool) -> NoReturn:
    """Print the error of a report, and exit 1."""
    refuse(error.code, error.message, error.field, as_json)


def to_json(message: "Message") -> str:
    """The message in protobuf's JSON mapping, on one line, with the field names of the .proto and with zeros."""
    from google.protobuf import json_format

    fields = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for route in fields.get("routes", ()):
        route.setdefault("sessions", None)  # unknown is not zero
    return json.dumps(fields)
