"""`homing push`: push one message, print the report."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homing.cluster.errors import CommandError
from homing.command import calls, options
from homing.command.tables import table

if TYPE_CHECKING:
    from homing.v1.router_pb2 import Delivery, PushReport

DEFAULT_TTL = 30.0  # seconds, the router's default


@click.command(short_help="Push a message, print the report.")
@options.target
@click.option("--event", required=True, metavar="NAME", help="The event's name, 1-128 bytes.")
@click.option(
    "--data", default="null", metavar="JSON|@FILE|-", help="The payload: literal, from a file, or from stdin."
)
@click.option("--content-type", default="", metavar="TYPE", help="The payload's type; JSON if absent.")
@click.option("--push-id", default="", metavar="ID", help="Identifies a retry; the router makes one if absent.")
@click.option("--ttl", type=options.DURATION, metavar="TIME", help="Never written after this long; 30s if absent.")
@click.option("--except", "excepted", type=click.IntRange(1), multiple=True, metavar="SID", help="Not to this session.")
@click.option("--max-deliveries", type=click.IntRange(0, 10_000), metavar="N", help="Sessions listed; 100 if absent.")
@options.run_dir
@options.router
@options.as_json
def push(
    to_session: int | None,
    to_user: str | None,
    to_file: str | None,
    everyone: bool,
    namespace: str,
    event: str,
    data: str,
    content_type: str,
    push_id: str,
    ttl: float | None,
    excepted: tuple[int, ...],
    max_deliveries: int | None,
    run_dir: Path,
    router: str | None,
    as_json: bool,
) -> None:
    """Push one message and print the report: the outcome of each session.

    Exit status 0 when there is a report (OFFLINE too), 1 when the push was refused, 2 for wrong usage.

    \b
    Examples:
      homing push --file notes --event hello --data '{"text": "hi"}'
      homing push --user ada --event picture --data @cat.png --content-type image/png --json
    """
    from google.protobuf.duration_pb2 import Duration

    from homing.v1.router_pb2 import PushRequest

    target = options.build_target(to_session, to_user, to_file, everyone, namespace)
    request = PushRequest(
        target=target,
        event=event,
        data=read_data(data),
        content_type=content_type,
        push_id=push_id,
        except_sessions=excepted,
        max_deliveries=max_deliveries,
    )
    if ttl is not None:
        request.ttl.CopyFrom(Duration(seconds=int(ttl), nanos=round(ttl % 1 * 1e9)))
    response = calls.call(
        run_dir, router, as_json, lambda stub, timeout: stub.Push(request, timeout=timeout), ttl or DEFAULT_TTL
    )
    if response.report.HasField("error"):
        calls.refuse_item(response.report.error, as_json)
    click.echo(calls.to_json(response) if as_json else describe(response.report))


def read_data(data: str) -> bytes:
    """The payload of --data. CommandError: its file cannot be read."""
    if data == "-":
        return sys.stdin.buffer.read()
    if not data.startswith("@"):
        return data.encode()
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise CommandError(f"--data: cannot read {data[1:]}: {error.strerror}") from None


def describe(report: "PushReport") -> str:
    """A report for a person: the counts by outcome, the nodes contacted, then a line per session."""
    from homing.v1.router_pb2 import Delivery

    counts = ", ".join(f"{count} {name}" for name, count in sorted(report.counts.items())) or "nobody"
    notes = [note for note, is_set in (("healed", report.healed), ("registry away", report.registry_away)) if is_set]
    lines = [
        f"push {report.push_id}: {counts}",
        f"nodes contacted {report.nodes_contacted}, owning {report.owning_nodes}, "
        f"amplification {report.amplification:.1f}{''.join(f', {note}' for note in notes)}",
    ]
    rows = [_row(delivery, Delivery.Outcome.Name(delivery.outcome)) for delivery in report.deliveries]
    if rows:
        lines += ["", *table(("SESSION", "USER", "NODE", "OUTCOME", "LATENCY"), rows)]
    if report.deliveries_truncated:
        lines.append("... and more; --max-deliveries shows up to 10,000")
    return "\n".join(lines)


def _row(delivery: "Delivery", outcome: str) -> tuple[str, ...]:
    latency_ms = delivery.latency.seconds * 1000 + delivery.latency.nanos / 1e6
    latency = f"{latency_ms:.1f} ms" if delivery.HasField("latency") else "-"
    return (str(delivery.session or "-"), delivery.user or "-", delivery.node or "-", outcome, latency)
