"""`make hostile`: attacks on the router's public ports, beside a grpcio server. `python -m bench.hostile --help`.

Exits 1 when our router does not withstand one (`bench.hostile.judge`), or answers a malformed request wrongly.
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence

from bench.hostile.attack import Attack
from bench.hostile.costs import Costs
from bench.hostile.measure import Result
from bench.hostile.runs import Answers, Faults, Runs, misread, run_attacks
from bench.hostile.suite import ATTACKS
from bench.hostile.table import attacks_markdown, attacks_table, costs_table, malformed_table
from homing.cluster.errors import CommandError


def selected(words: Sequence[str]) -> list[Attack]:
    """The attacks whose kind or name contains one of these words; all without a word."""
    return [one for one in ATTACKS if not words or any(word in f"{one.kind} {one.name}" for word in words)]


def options_of(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--server", action="append", choices=["homing", "grpcio"], help="default: both")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="attacks whose kind or name has it")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each attack")
    parser.add_argument("--no-malformed", action="store_true", help="leave the malformed requests out")
    parser.add_argument("--no-costs", action="store_true", help="leave the CPU of honest calls out")
    parser.add_argument("--markdown", action="store_true", help="the table of attacks in Markdown")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def as_json(results: list[Result], wrong: Faults, answers: dict[str, Answers], spent: dict[str, Costs]) -> str:
    """Everything, for machines."""
    shown = [result._asdict() | {"rss_mib": result.rss_mib._asdict()} for result in results]
    misread_here = misread(answers.get("homing", {}))
    return json.dumps(
        {"attacks": shown, "faults": wrong, "malformed": answers, "misread": misread_here, "cpu_us": spent}
    )


def as_text(
    results: list[Result], wrong: Faults, answers: dict[str, Answers], spent: dict[str, Costs], markdown: bool = False
) -> str:
    """The tables."""
    tables = [(attacks_markdown if markdown else attacks_table)(results, wrong)] if results else []
    tables += [malformed_table(answers)] if answers else []
    tables += [costs_table(spent)] if spent else []
    wrongly = len(misread(answers.get("homing", {})))
    return "\n\n".join([*tables, f"{len(wrong)} attacks not withstood, {wrongly} malformed requests answered wrongly"])


def main(arguments: list[str]) -> int:
    """The command line; the result is the exit code."""
    options = options_of(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that a terminated run still stops its servers
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    runs = {name: Runs(name) for name in options.server or ["homing", "grpcio"]}
    try:
        spent = {} if options.no_costs else {name: one.costs() for name, one in runs.items()}
        answers = {} if options.no_malformed else {name: one.answers() for name, one in runs.items()}
        results, wrong = run_attacks(runs, selected(options.only), options.seconds)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        for one in runs.values():
            one.close()
    shown = (results, wrong, answers, spent)
    print(as_json(*shown) if options.json else as_text(*shown, options.markdown))
    return 1 if wrong or misread(answers.get("homing", {})) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
