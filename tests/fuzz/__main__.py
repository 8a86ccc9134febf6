"""`make fuzz`: coverage-guided fuzzing of whatever reads bytes from the network, by atheris (libFuzzer).

    python -m tests.fuzz [--seconds N] [target ...]

Each target runs in a process of its own, for N seconds, from its seeds and its committed corpus; what reached new code
is kept, the shortest of it, and written back. A finding is a file in build/fuzz, and the exit status is 1.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
FINDINGS = Path(__file__).resolve().parents[2] / "build/fuzz"
MAX_LENGTH = 6000  # bytes of an input
KEPT = 40  # inputs of a committed corpus, the shortest
LARGEST = 600  # bytes of one


class Result(NamedTuple):
    """What one target has shown."""

    target: str
    runs: int
    coverage: int  # edges of instrumented code that were reached
    findings: int


def fuzz(target: str, seconds: int) -> Result:
    """One target for so many seconds."""
    FINDINGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for number, seed in enumerate(SEEDS[target]):
            (work / f"seed-{number}").write_bytes(seed)
        for known in (CORPUS / target).glob("*"):
            shutil.copy(known, work)
        found = FINDINGS / f"{target}-"
        limits = [f"-max_total_time={seconds}", f"-max_len={MAX_LENGTH}", f"-artifact_prefix={found}", "-timeout=20"]
        printed = _child(target, [str(work), *limits, "-print_final_stats=1", "-rss_limit_mb=4096"])
        _keep(target, work)
    runs = re.findall(r"stat::number_of_executed_units: (\d+)", printed) or ["0"]
    reached = re.findall(r"cov: (\d+)", printed) or ["0"]
    return Result(target, int(runs[-1]), int(reached[-1]), len(list(FINDINGS.glob(f"{target}-*"))))


def _child(target: str, arguments: list[str]) -> str:
    command = [sys.executable, "-m", "tests.fuzz.child", target, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
    return done.stderr


def _keep(target: str, work: Path) -> None:
    """The shortest inputs that have reached something new become the committed corpus. (libFuzzer reduces by starting
    its program again by its name, which under Python is none.)"""
    inputs = sorted(work.iterdir(), key=lambda path: (path.stat().st_size, path.name))
    inputs = [path for path in inputs if path.stat().st_size <= LARGEST][:KEPT]
    shutil.rmtree(CORPUS / target, ignore_errors=True)
    (CORPUS / target).mkdir(parents=True)
    for path in inputs:
        shutil.copy(path, CORPUS / target)


def main() -> int:
    """The command line; the result is the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="target", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no target is named {', '.join(sorted(unknown))}; there are: {', '.join(TARGETS)}")
    results = []
    for target in options.targets or TARGETS:
        print(f"{target}: {options.seconds} s ...", file=sys.stderr, flush=True)
        results.append(fuzz(target, options.seconds))
        print(f"{target}: {results[-1].runs:,} runs, {results[-1].findings} findings", file=sys.stderr, flush=True)
    print("| target | runs | edges reached | findings |\n|---|---|---|---|")
    for one in results:
        print(f"| {one.target} | {one.runs:,} | {one.coverage:,} | {one.findings} |")
    return 1 if any(one.findings for one in results) else 0


if __name__ == "__main__":
    sys.exit(main())
