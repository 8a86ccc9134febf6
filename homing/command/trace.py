"""`homing trace`: one trace from Jaeger, drawn as a waterfall."""

import re
from typing import Any

import click

from homing.cluster.errors import CommandError
from homing.command import options

JAEGER_TIMEOUT = 5.0  # seconds

_match_id = re.compile(r"[0-9a-f]{32}").fullmatch


@click.command(short_help="Draw a trace from Jaeger.")
@click.argument("trace_id", metavar="ID")
@click.option(
    "--jaeger", default="http://127.0.0.1:16686", show_default=True, metavar="URL", help="Jaeger's query API."
)
@options.as_json
def trace(trace_id: str, jaeger: str, as_json: bool) -> None:
    """Draw the trace with this id (32 hex digits: a report's trace_id, an event's X-Trace-ID).

    Spans reach Jaeger a moment after the push; `homing up --otlp URL` sets where the services send them.

    \b
    Example:
      homing trace 4bf92f3577b34da6a3ce929d0e0e4736
    """
    from homing.command import waterfall

    if not _match_id(trace_id):
        raise click.BadParameter(f"{trace_id!r} is not 32 hex digits", param_hint="ID")
    if not re.match(r"https?://[^/\s]", jaeger):
        raise click.BadParameter(f"{jaeger!r} is not a URL such as http://127.0.0.1:16686", param_hint="--jaeger")
    spans = waterfall.read(fetch(jaeger, trace_id))
    if as_json:
        import json

        click.echo(json.dumps({"trace_id": trace_id, "spans": [span._asdict() for span in spans]}))
    else:
        click.echo("\n".join(waterfall.draw(trace_id, spans)))


def fetch(jaeger: str, trace_id: str) -> dict[str, Any]:
    """The trace in Jaeger's JSON. CommandError: no Jaeger answers at the URL, or Jaeger does not have the trace."""
    import http.client
    import json
    import urllib.error
    import urllib.request

    url = f"{jaeger.rstrip('/')}/api/traces/{trace_id}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=JAEGER_TIMEOUT) as response:
            body = json.load(response)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            raise _unknown_trace(jaeger, trace_id) from None
        raise CommandError(f"Jaeger at {jaeger} answered {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise CommandError(f"no Jaeger answers at {jaeger} ({reason}); name its query API with --jaeger") from None
    if not isinstance(body, dict) or not body.get("data") or not body["data"][0].get("spans"):
        raise _unknown_trace(jaeger, trace_id)
    first: dict[str, Any] = body["data"][0]
    return first


def _unknown_trace(jaeger: str, trace_id: str) -> CommandError:
    return CommandError(
        f"Jaeger at {jaeger} has no trace {trace_id}: spans arrive a moment after the push; was the push sampled, "
        "and does the cluster run with --otlp?"
    )
