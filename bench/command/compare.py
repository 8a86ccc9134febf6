"""`homing compare`: routed delivery against broadcast, measured on this machine."""

import json
import signal
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.command.figures import report_progress
from homing.cluster.errors import CommandError
from homing.command import options

if TYPE_CHECKING:
    from bench.compare.model import ModelCurve
    from bench.compare.rows import Row

BUSES = ("redis", "kafka")


class GatewayCounts(click.ParamType[tuple[int, ...]]):
    """A list of numbers of gateways; ascending."""

    name = "numbers"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        items = str(value).split(",")
        if not all(item.strip().isdecimal() and item.isascii() and 1 <= int(item) <= 32 for item in items):
            self.fail(f"{value!r} is not a list such as 1,2,4,8 (each 1 to 32)", param, ctx)
        return tuple(sorted({int(item) for item in items}))


@click.command(short_help="Compare routed delivery with broadcast.")
@click.option(
    "--gateways",
    type=GatewayCounts(),
    default="1,2,4,8",
    show_default=True,
    metavar="N,...",
    help="Numbers of gateways, in turn.",
)
@click.option("--bus", "buses", type=click.Choice(BUSES), multiple=True, help="Only this bus.  [default: both]")
@click.option("--kafka", metavar="HOST:PORT[,...]", default="", help="Use this Kafka instead of starting one.")
@click.option(
    "--rate", type=click.FloatRange(10, 20_000), default=200, show_default=True, metavar="N", help="Pushes a second."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.2, 600),
    default=1.5,
    show_default=True,
    metavar="N",
    help="Duration of each row.",
)
@click.option(
    "--viewers", type=click.IntRange(1, 40), default=20, show_default=True, metavar="N", help="Viewers of the file."
)
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Also write a chart.")
@options.as_json
def compare(
    gateways: tuple[int, ...],
    buses: tuple[str, ...],
    kafka: str,
    rate: float,
    seconds: float,
    viewers: int,
    svg: Path | None,
    as_json: bool,
) -> None:
    """Push to single users and to a file, in both modes, over Redis and over Kafka, while gateways are added.

    Each row is the same open-loop load: --rate pushes a second of 200 bytes to single users, then half as many to a
    file whose viewers are spread over all gateways. Messages handled are the gateways' own counters. A row is marked
    invalid when the load generator fell behind or something was lost. Figures for more gateways than were started are
    from a model, and marked so. Takes two to three minutes on two cores.

    \b
    Examples:
      homing compare
      homing compare --svg compare.svg
      homing compare --bus redis --gateways 1,2 --json
    """
    try:
        from bench.compare.compare import available_buses
        from bench.compare.compare import compare as measure
        from bench.compare.load import CompareLoad
    except ImportError as error:
        raise CommandError(f"compare needs all of Homing: pip install 'homing[up]' ({error.name} is missing)") from None
    from bench.compare.chart import draw_chart
    from bench.compare.model import DESCRIPTION, curves
    from bench.compare.rows import HEADER, LEGEND, format_row

    for number in (signal.SIGTERM, signal.SIGHUP):  # so that a terminated run still stops its cluster
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    notes: list[str] = []

    def on_missing(text: str) -> None:
        notes.append(text)
        report_progress(text)

    def on_row(row: "Row") -> None:
        if not as_json:
            click.echo(format_row(row))

    available = available_buses(buses or BUSES, kafka, on_missing)
    if not as_json:
        click.echo(HEADER)
    rows = measure(available, gateways, CompareLoad(rate, seconds, viewers), kafka, report_progress, on_row)
    model = curves(rows, viewers)
    if as_json:
        click.echo(json.dumps(_json_result(rows, model, DESCRIPTION, notes)))
    else:
        click.echo("\n".join(["", LEGEND, "", textwrap.fill(DESCRIPTION, 110), *_model_lines(model)]))
    if svg is not None:
        _write_chart(svg, draw_chart(rows, model))


def _json_result(rows: "list[Row]", model: "list[ModelCurve]", description: str, notes: list[str]) -> dict[str, object]:
    import msgspec

    return {
        "rows": msgspec.to_builtins(rows),
        "model": msgspec.to_builtins(model),
        "model_description": description,
        "notes": notes,
    }


def _model_lines(model: "list[ModelCurve]") -> list[str]:
    """Each curve: its trend in words; then the measured points and the model beside them, and at the most gateways."""
    lines = []
    for curve in model:
        last = curve.points[-1]
        places = [f"{point.gateways}" for point in curve.measured] + [f"{last.gateways:,}"]
        measured = [f"{point.measured_us:,.0f}" for point in curve.measured] + ["-"]
        fitted = [f"{point.model_us:,.0f}" for point in curve.measured] + [f"{last.cpu_us_per_delivery:,.0f}"]
        lines += ["", f"{curve.mode}, {curve.bus}, {curve.target}: {curve.trend}"]
        for name, cells in (("gateways", places), ("measured, us", measured), ("model, us", fitted)):
            lines.append(f"  {name:14}" + "".join(f"{cell:>10}" for cell in cells))
        lines.append(f"  {last.handled_per_push:,.0f} messages handled per push with {last.gateways:,} gateways")
    return lines


def _write_chart(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}") from None
    report_progress(f"the chart is in {file}")
