"""One call to a router from a verb: its addresses, the call, and a refusal as a message or JSON with exit status 1."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

import click

from homing.cluster.errors import CommandError, RouterAway
from homing.command import failures
from homing.command.printable import printable

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from homing.v1.router_pb2 import Error
    from homing.v1.router_pb2_grpc import RouterStub

Response = TypeVar("Response", bound="Message")

DEADLINE_MARGIN = 10.0  # seconds beyond a push's ttl until the call is given up
FIELD_METADATA = "homing-field"  # trailing metadata of a refusal: the field at fault
UNREACHABLE_CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
NO_ROUTERS_CODES = ("UNIMPLEMENTED", "UNKNOWN", "CANCELLED")  # a router refuses with none of these


def call(
    run_dir: Path,
    routers: Sequence[str],
    as_json: bool,
    send: "Callable[[RouterStub, float], Response]",
    timeout: float = 0.0,
    sent_once: str = "",
) -> "Response":
    """The response of `send(stub, timeout)` from the first router that answers: of `routers`, else of the run-dir.

    `timeout`: seconds that the call itself may take. `sent_once`: what to say of a call that must not be sent to a
    second router, when the first one was lost during it. A refusal is printed and exits 1. RouterAway: none answers.
    """
    import grpc

    from homing.command.router_connection import connections
    from homing.v1.router_pb2_grpc import RouterStub

    reasons: dict[str, str] = {}
    addresses = routers or run_dir_routers(run_dir)
    for connection in connections(addresses, reasons):
        try:
            return send(RouterStub(connection.channel), timeout + DEADLINE_MARGIN)  # type: ignore[no-untyped-call]
        except grpc.RpcError as error:
            reason = _lost_because(
                connection.address, cast("grpc.Call", error), as_json
            )  # grpcio raises the call itself
        if sent_once and connection.connected:
            raise RouterAway(f"router {connection.address} was lost during the call ({reason}); {sent_once}")
        reasons[connection.address] = reason
    tried = "; ".join(f"{address}: {reasons.get(address, 'not tried, for want of time')}" for address in addresses)
    raise RouterAway(f"no router answers ({tried}); is the cluster up (`homing up`), is the address right?")


def run_dir_routers(run_dir: Path) -> list[str]:
    """The gRPC addresses of the routers of the cluster that runs here. RouterAway: all have died."""
    from homing.cluster import cluster_file

    routers = cluster_file.read(run_dir).routers
    if not routers:
        raise RouterAway(
            f"{cluster_file.path(run_dir)} names no router: all have died; stop `homing up` and start it again"
        )
    return [router.grpc for router in routers]


def _lost_because(address: str, error: "grpc.Call", as_json: bool) -> str:
    """Why the router did not answer. A refusal by the router itself is printed, and ends the verb."""
    from homing.client.reachability import last_reason

    code, details = error.code().name, error.details() or ""
    metadata = {key: value for key, value in _pairs(error.trailing_metadata()) if isinstance(value, str)}
    if code not in UNREACHABLE_CODES or FIELD_METADATA in metadata or _pairs(error.initial_metadata()):
        if code in NO_ROUTERS_CODES:
            details = f"{address}: {code}: {details}; is it a router?"
        refuse(code, details, metadata.get(FIELD_METADATA, ""), as_json)
    return last_reason(details) or "no answer"


def _pairs(metadata: Iterable[tuple[str, str | bytes]] | None) -> list[tuple[str, str | bytes]]:
    return [(key, value) for key, value in metadata or ()]


def refuse(code: str, message: str, field: str, as_json: bool) -> NoReturn:
    """Print a router's refusal, and exit 1."""
    if as_json:
        click.echo(failures.to_json(code, message, field))
    else:
        suffix = f" (field: {field})" if field and not message.startswith(f"{field}:") else ""
        click.echo(f"homing: refused: {printable(message or code)}{printable(suffix)}", err=True)
    sys.exit(1)


def refuse_item(error: "Error", as_json: bool) -> NoReturn:
    """Print the error of a report, and exit 1."""
    refuse(error.code, error.message, error.field, as_json)


def count_sessions(done: str, sessions: int) -> str:
    """What was done to how many sessions, for a person."""
    return f"{done}: {sessions} session{'' if sessions == 1 else 's'}"


def to_json(message: "Message") -> str:
    """The message in protobuf's JSON mapping, on one line, with the field names of the .proto and with zeros."""
    from google.protobuf import json_format

    try:
        fields = json_format.MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    except json_format.Error as error:  # a time beyond the year 9999
        raise CommandError(f"what the router answered has no form in JSON: {error}") from None
    for route in fields.get("routes", ()):
        route.setdefault("sessions", None)  # unknown is not zero
    return json.dumps(fields)
