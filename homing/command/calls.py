"""One call to a router from a verb: find it, ask it, turn a refusal into a line (or JSON) and an exit status."""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

import click

from homing.cluster.trouble import CommandError

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from homing.v1.router_pb2 import Error
    from homing.v1.router_pb2_grpc import RouterStub

Answer = TypeVar("Answer", bound="Message")

MARGIN = 10.0  # seconds beyond a push's own ttl before we stop waiting for the router
FIELD = "homing-field"  # trailing metadata of a refusal: which field it is about
GONE = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def call(
    run_dir: Path, router: str | None, as_json: bool, ask: "Callable[[RouterStub, float], Answer]", limit: float
) -> "Answer":
    """`ask(stub, timeout)`, answered. Exits 1 on a refusal, telling the field. Trouble: no router there."""
    import grpc

    from homing.v1.router_pb2_grpc import RouterStub

    address = router or _from_cluster_file(run_dir)
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            return ask(RouterStub(channel), limit + MARGIN)  # type: ignore[no-untyped-call]
        except grpc.RpcError as error:
            _refused(address, cast("grpc.Call", error), as_json)  # what grpcio raises from a call is the call


def _from_cluster_file(run_dir: Path) -> str:
    from homing.cluster import file

    routers = file.read(run_dir).routers
    if not routers:
        raise CommandError(f"{file.path(run_dir)} names no router: all have died; stop `homing up` and start it again")
    return routers[0].grpc


def _refused(address: str, error: "grpc.Call", as_json: bool) -> NoReturn:
    code, details = error.code().name, error.details() or ""
    told = {key: value for key, value in _pairs(error.trailing_metadata()) if isinstance(value, str)}
    if code in GONE and FIELD not in told and not _pairs(error.initial_metadata()):
        raise CommandError(
            f"no router answers at {address} ({_shorter(details)}); "
            "is the cluster up (`homing up`), is the address right?"
        )
    refuse(code, details, told.get(FIELD, ""), as_json)


def _pairs(metadata: Iterable[tuple[str, str | bytes]] | None) -> list[tuple[str, str | bytes]]:
    return [(key, value) for key, value in metadata or ()]


def _shorter(details: str) -> str:
    return details.rpartition(": ")[2].strip("[]() ") or details or "no answer"


def refuse(code: str, message: str, field: str, as_json: bool) -> NoReturn:
    """Say that a router refused the request, and exit 1."""
    if as_json:
        click.echo(json.dumps({"error": {"code": code, "message": message, "field": field}}))
    else:
        where = f" (field: {field})" if field and not message.startswith(f"{field}:") else ""
        click.echo(f"homing: refused: {message or code}{where}", err=True)
    sys.exit(1)


def refuse_item(error: "Error", as_json: bool) -> NoReturn:
    """The same, for an error that came inside a report."""
    refuse(error.code, error.message, error.field, as_json)


def to_json(message: "Message") -> str:
    """protobuf's JSON mapping on one line, with the names of the .proto and with zeros shown."""
    from google.protobuf import json_format

    return json.dumps(
        json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    )
