"""`homing trace`: one trace from Jaeger drawn as a waterfall, or with --collect all traces, without a Jaeger."""

import re
from typing import TYPE_CHECKING

import click

from homing.cluster.errors import CommandError
from homing.command import address_types, options
from homing.command.output import run_while_read

if TYPE_CHECKING:
    from homing.command.collected_traces import CompleteTrace
    from homing.command.waterfall import DrawnSpan

_match_id = re.compile(r"[0-9a-f]{32}").fullmatch


@click.command(short_help="Draw a trace from Jaeger, or collect traces.")
@click.argument("trace_id", metavar="[ID]", required=False)
@click.option(
    "--jaeger", default="http://127.0.0.1:16686", show_default=True, metavar="URL", help="Jaeger's query API."
)
@click.option("--collect", is_flag=True, help="Be the collector: print each trace when it is complete.")
@click.option(
    "--grpc",
    default="127.0.0.1:4317",
    show_default=True,
    type=address_types.LISTEN_ADDRESS,
    metavar="HOST:PORT",
    help="Where to collect OTLP over gRPC.",
)
@click.option(
    "--http",
    default="127.0.0.1:4318",
    show_default=True,
    type=address_types.LISTEN_ADDRESS,
    metavar="HOST:PORT",
    help="Where to collect OTLP over HTTP.",
)
@options.as_json
def trace(trace_id: str | None, jaeger: str, collect: bool, grpc: str, http: str, as_json: bool) -> None:
    """Draw the trace with this id (32 hex digits: a report's trace_id, an event's X-Trace-ID) from Jaeger.

    Spans reach Jaeger a second after the push; `homing up --otlp URL` sets where the services send them.

    With --collect no Jaeger is needed: this command receives the spans itself, and prints each trace two seconds after
    its last span, until Ctrl-C. With --json each trace is one line.

    \b
    Examples:
      homing trace 4bf92f3577b34da6a3ce929d0e0e4736
      homing trace --collect
      homing up --otlp http://127.0.0.1:4317       # in another terminal
    """
    if collect == (trace_id is not None):
        raise click.UsageError("name a trace's ID, or --collect")
    if collect:
        run_collector(grpc, http, as_json)
        return
    assert trace_id is not None
    if not _match_id(trace_id.lower()):
        raise click.BadParameter(f"{trace_id!r} is not 32 hex digits", param_hint="ID")
    if not re.match(r"https?://[^/\s]", jaeger):
        raise click.BadParameter(f"{jaeger!r} is not a URL such as http://127.0.0.1:16686", param_hint="--jaeger")
    from homing.command.jaeger import fetch, read

    show(trace_id.lower(), read(fetch(jaeger, trace_id.lower())), as_json)


def show(trace_id: str, spans: "list[DrawnSpan]", as_json: bool) -> None:
    """Print one trace: as a waterfall, or as one line of JSON."""
    from homing.command import waterfall

    if as_json:
        import msgspec

        from homing.command.printable import printable_json

        line = msgspec.json.encode({"trace_id": trace_id, "spans": [span._asdict() for span in spans]})
        click.echo(printable_json(line.decode()))  # NaN is null
    else:
        click.echo("\n".join(waterfall.draw(trace_id, spans)))


def run_collector(grpc: str, http: str, as_json: bool) -> None:
    """Collect and print until Ctrl-C. CommandError: an address is in use, or a package is missing."""
    import asyncio

    try:
        from homing.command.trace_collector import collect
    except ModuleNotFoundError as error:
        raise CommandError(f"--collect needs the package {error.name}: pip install 'homing[server]'") from None

    def on_ready(grpc: str, http: str) -> None:
        click.echo(
            f"Collecting at http://{grpc} (OTLP over gRPC) and http://{http} (over HTTP); Ctrl-C ends.", err=True
        )

    def on_complete(complete: "CompleteTrace") -> None:
        show(complete.trace_id, complete.spans, as_json)

    asyncio.run(run_while_read(collect(grpc, http, on_ready, on_complete)))
