"""`make faults`: faults on a cluster of real processes, under load. `python -m bench.faults --help`.

Exits 1 when an experiment does not pass. One that misses limits of time by no more than the machine stalled
is "limit".
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.faults.experiment import Experiment, ExperimentResult
from bench.faults.runs import run_all
from bench.faults.suite import EXPERIMENTS
from bench.faults.table import as_markdown, as_text
from bench.faults.versions import versions
from bench.faults.world import Options

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/faults.md"


def selected(words: Sequence[str]) -> list[Experiment]:
    """The experiments with this number, or whose name contains one of these words; all without a word."""
    return [one for one in EXPERIMENTS if not words or any(word == one.number or word in one.name for word in words)]


def options_of(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a number, or a word of a name")
    parser.add_argument("--clients", type=int, default=300)
    parser.add_argument("--rate", type=float, default=150.0, help="pushes a second")
    parser.add_argument("--tls", action="store_true", help="all clients speak TLS")
    parser.add_argument("--histories", type=Path, default=Path("build/faults"), help="a file for each experiment")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--record", action="store_true", help="write the table to docs/faults.md")
    return parser.parse_args(arguments)


def report_progress(line: str) -> None:
    """One line for people, beside the result on stdout."""
    print(line, file=sys.stderr, flush=True)


async def run(experiments: Sequence[Experiment], options: argparse.Namespace) -> list[ExperimentResult]:
    """All of them; SIGTERM and SIGHUP stop what runs, as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    chosen = Options(options.clients, options.rate, tls=options.tls)
    return await run_all(experiments, chosen, options.histories, report_progress)


def main(arguments: list[str]) -> int:
    """The command line; the result is the exit code."""
    options = options_of(arguments)
    logging.disable(logging.WARNING)  # the client library's, of routers that are killed
    experiments = selected(options.only)
    if not experiments:
        report_progress(f"no experiment is named {options.only}")
        return 2
    try:
        results = asyncio.run(run(experiments, options))
    except asyncio.CancelledError:
        report_progress("stopped")
        return 1
    if options.record:
        load = f"{options.clients} clients{' over TLS' if options.tls else ''}, {options.rate:g} pushes a second"
        DOCUMENT.write_text(as_markdown(DOCUMENT.read_text(), results, versions(), load))
    print(json.dumps([one.as_json() for one in results]) if options.json else as_text(results))
    return 0 if all(one.verdict != "fail" for one in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
