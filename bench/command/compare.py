"""`homing compare`: routed delivery against broadcast, measured here."""

import json
import signal
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homing.cluster.trouble import CommandError
from homing.command import options

if TYPE_CHECKING:
    from bench.compare.model import Curve
    from bench.compare.rows import Row

BUSES = ("redis", "kafka")


class Steps(click.ParamType[tuple[int, ...]]):
    """Numbers of gateways, ascending."""

    name = "numbers"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        listed = str(value).split(",")
        if not all(one.strip().isdecimal() and one.isascii() and 1 <= int(one) <= 32 for one in listed):
            self.fail(f"{value!r} is not a list such as 1,2,4,8 (each 1 to 32)", param, ctx)
        return tuple(sorted({int(one) for one in listed}))


@click.command(short_help="Routed against broadcast, measured here.")
@click.option(
    "--gateways", type=Steps(), default="1,2,4,8", show_default=True, metavar="N,...", help="How many, one by one."
)
@click.option("--bus", "buses", type=click.Choice(BUSES), multiple=True, help="Only this bus.  [default: both]")
@click.option("--kafka", metavar="HOST:PORT[,...]", default="", help="Use this Kafka instead of starting one.")
@click.option(
    "--rate", type=click.FloatRange(10, 20_000), default=200, show_default=True, metavar="N", help="Pushes a second."
)
@click.option(
    "--seconds", type=click.FloatRange(0.2, 600), default=1.5, show_default=True, metavar="N", help="For each row."
)
@click.option("--viewers", type=click.IntRange(1, 40), default=20, show_default=True, metavar="N", help="Of the file.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw it there as well.")
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

    Each row is the same open-loop load: so many pushes a second of 200 bytes to single users, then half as many to a
    file whose viewers are spread over all gateways. Messages handled are what the gateways themselves have counted. A
    row whose load fell behind, or of which something was lost, says that it is invalid. What is said of more gateways
    than were started is a model, and says so. Takes two to three minutes on two cores.

    \b
    Examples:
      homing compare
      homing compare --svg compare.svg
      homing compare --bus redis --gateways 1,2 --json
    """
    try:
        from bench.compare.compare import buses_here
        from bench.compare.compare import compare as measure
        from bench.compare.load import Load
    except ImportError as error:
        raise CommandError(f"compare needs the whole of Homing: pip install 'homing[up]' ({error.name})") from None
    from bench.compare.model import SENTENCE, curves
    from bench.compare.picture import picture
    from bench.compare.rows import HEAD, LEGEND, line

    for number in (signal.SIGTERM, signal.SIGHUP):  # so that an ended run still stops its cluster
        signal.signal(number, lambda got, _frame: sys.exit(128 + got))
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        say(text)

    def done(row: "Row") -> None:
        if not as_json:
            click.echo(line(row))

    here = buses_here(buses or BUSES, kafka, note)
    if not as_json:
        click.echo(HEAD)
    rows = measure(here, gateways, Load(rate, seconds, viewers), kafka, say, done)
    model = curves(rows, viewers)
    if as_json:
        click.echo(json.dumps(_told(rows, model, SENTENCE, notes)))
    else:
        click.echo("\n".join(["", LEGEND, "", textwrap.fill(SENTENCE, 110), *_in_words(model)]))
    if svg is not None:
        _write(svg, picture(rows, model))


def say(line: str) -> None:
    """Progress."""
    click.echo(line, err=True)


def _told(rows: "list[Row]", model: "list[Curve]", sentence: str, notes: list[str]) -> dict[str, object]:
    import msgspec

    return {
        "rows": msgspec.to_builtins(rows),
        "model": msgspec.to_builtins(model),
        "model_says": sentence,
        "notes": notes,
    }


def _in_words(model: "list[Curve]") -> list[str]:
    """What the model says of the most gateways, a line for each curve."""
    lines = []
    for curve in model:
        far = curve.points[-1]
        what = f"{curve.mode}, {curve.bus}, {curve.target}"
        lines.append(
            f"  {what:26} {curve.a_us:.0f} + {curve.b_us:.1f} x handled: with {far.gateways:,} gateways "
            f"{far.handled_per_push:,.0f} messages a push, {far.cpu_us_per_delivery:,.0f} us a delivered message"
        )
    return lines


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}") from None
    say(f"the picture is in {file}")
