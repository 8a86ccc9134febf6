"""`homing push`: push one message, print the report."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homing.command import calls, options, payload
from homing.command.printable import printable
from homing.command.tables import table

if TYPE_CHECKING:
    from homing.v1.router_pb2 import Delivery, PushReport

DEFAULT_TTL = 30.0  # seconds, the router's default


@click.command(short_help="Push a message, print the report.")
@options.target
@click.option("--event", required=True, metavar="NAME", help="The event's name, 1-128 bytes.")
@click.option("--data", default="null", metavar=payload.METAVAR, help=payload.HELP)
@click.option("--content-type", default="", metavar="TYPE", help="The payload's type; JSON if absent.")
@click.option("--push-id", default="", metavar="ID", help="Identifies a retry; a new one if absent.")
@click.option("--ttl", type=options.DURATION, metavar="TIME", help="Never written after this long; 30s if absent.")
@click.option(
    "--ack-timeout", type=options.DURATION, metavar="TIME", help="Wait this long for clients' acks; absent: no acks."
)
@click.option("--except", "excepted", type=options.SESSION, multiple=True, metavar="SID", help="Not to this session.")
@click.option("--max-deliveries", type=click.IntRange(0, 10_000), metavar="N", help="Sessions listed; 100 if absent.")
@options.run_dir
@options.routers
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
    ack_timeout: float | None,
    excepted: tuple[int, ...],
    max_deliveries: int | None,
    run_dir: Path,
    routers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Push one message and print the report: the outcome of each session.

    Exit status 0 when there is a report (OFFLINE too), 1 when the push was refused, 2 for wrong usage.

    \b
    Examples:
      homing push --file notes --event hello --data '{"text": "hi"}'
      homing push --user ada --event save --ack-timeout 5s
      homing push --user ada --event picture --data @cat.png --content-type image/png --json
    """
    from homing.v1.router_pb2 import PushRequest

    target = options.build_target(to_session, to_user, to_file, everyone, namespace)
    request = PushRequest(
        target=target,
        event=event,
        data=payload.read_data(data),
        content_type=content_type,
        push_id=push_id or secrets.token_urlsafe(16),
        except_sessions=excepted,
        max_deliveries=max_deliveries,
    )
    if ttl is not None:
        request.ttl.FromNanoseconds(round(ttl * 1e9))
    if ack_timeout is not None:
        request.ack_timeout.FromNanoseconds(round(ack_timeout * 1e9))
    response = calls.call(
        run_dir,
        routers,
        as_json,
        lambda stub, timeout: stub.Push(request, timeout=timeout),
        (DEFAULT_TTL if ttl is None else ttl) + (ack_timeout or 0.0),
        f"it may or may not have been delivered; a retry has --push-id {request.push_id}",
    )
    if response.report.HasField("error"):
        calls.refuse_item(response.report.error, as_json)
    click.echo(calls.to_json(response) if as_json else describe(response.report))


def describe(report: "PushReport") -> str:
    """A report for a person: the counts by outcome, the nodes contacted, then a line per session."""
    from homing.client.responses import enum_name
    from homing.v1.router_pb2 import Delivery

    counts = ", ".join(f"{count} {printable(name)}" for name, count in sorted(report.counts.items())) or "nobody"
    notes = [note for note, is_set in (("healed", report.healed), ("registry away", report.registry_away)) if is_set]
    lines = [
        f"push {printable(report.push_id)}: {counts}",
        f"nodes contacted {report.nodes_contacted}, owning {report.owning_nodes}, "
        f"amplification {report.amplification:.1f}{''.join(f', {note}' for note in notes)}",
    ]
    if report.trace_id:
        lines.append(f"trace {printable(report.trace_id)}")
    rows = [_row(delivery, enum_name(Delivery.Outcome, delivery.outcome)) for delivery in report.deliveries]
    if rows:
        lines += ["", *table(("SESSION", "USER", "NODE", "OUTCOME", "LATENCY"), rows)]
    if report.deliveries_truncated:
        lines.append("... and more; --max-deliveries shows up to 10,000")
    return "\n".join(lines)


def _row(delivery: "Delivery", outcome: str) -> tuple[str, ...]:
    latency_ms = delivery.latency.seconds * 1000 + delivery.latency.nanos / 1e6
    latency = f"{latency_ms:.1f} ms" if delivery.HasField("latency") else "-"
    return (str(delivery.session or "-"), delivery.user or "-", delivery.node or "-", outcome, latency)
