"""A long run of the simulation: `python -m tests.simulation --steps 1000000 [--seed N]`. Exit status 1: a violation.

Seeds run one after the other, each in a cluster of its own, until so many steps are done. A seed repeats exactly, with
`--seed N --steps STEPS`, where STEPS is at most those of one seed.
"""

import argparse
import json
import os
import secrets
import sys
import time

from tests.simulation.run import Result, run

STEPS_PER_SEED = 1000
PROGRESS = 10.0  # seconds between two lines
TAIL = 60  # lines of the history that are shown of a violation


def main() -> int:
    options = _options()
    if "PYTHONHASHSEED" not in os.environ:  # the order of sets of strings, too, is to be that of the seed
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    first = options.seed if options.seed is not None else secrets.randbelow(10**9)
    print(f"seeds from {first} on, {options.steps} steps", file=sys.stderr, flush=True)
    results = _run(first, options)
    failed = next((result for result in results if result.violations), None)
    if failed is not None:
        _show(failed)
    return int(failed is not None)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, help="the first seed; without one it is chosen at random, and printed")
    parser.add_argument("--json", action="store_true", help="print the totals as one JSON object")
    return parser.parse_args()


def _run(seed: int, options: argparse.Namespace) -> list[Result]:
    began = shown = time.monotonic()
    results: list[Result] = []
    left = options.steps
    while left > 0 and not (results and results[-1].violations):
        results.append(run(seed + len(results), min(left, STEPS_PER_SEED)))
        left -= results[-1].steps
        if (now := time.monotonic()) - shown > PROGRESS:
            shown = now
            done = options.steps - left
            print(f"{done} steps, {done / (now - began):.0f} a second", file=sys.stderr, flush=True)
    _print_totals(results, time.monotonic() - began, options.json)
    return results


def _print_totals(results: list[Result], seconds: float, as_json: bool) -> None:
    steps = sum(result.steps for result in results)
    totals = {
        "seeds": [results[0].seed, results[-1].seed],
        "steps": steps,
        "steps_per_second": round(steps / seconds),
        "seconds": round(seconds, 1),
        "virtual_seconds": round(sum(result.seconds for result in results)),
        "callbacks": sum(result.callbacks for result in results),
        "pushes": sum(result.pushes for result in results),
        "receipts": sum(result.receipts for result in results),
        "faults": sum(result.faults for result in results),
        "violations": sum(len(result.violations) for result in results),
    }
    print(json.dumps(totals) if as_json else "\n".join(f"{name:>16}  {value}" for name, value in totals.items()))


def _show(result: Result) -> None:
    lines = [f"seed {result.seed}, step {result.step}: {len(result.violations)} violations; the history before:"]
    lines += result.tail[-TAIL:]
    lines += [f"{one.invariant} at {one.t:.6f}: {one.text}" for one in result.violations[:20]]
    lines.append(f"again: python -m tests.simulation --seed {result.seed} --steps {result.requested}")
    print("\n".join(lines), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
