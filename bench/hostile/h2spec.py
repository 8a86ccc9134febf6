"""`make h2spec`: conformance of a server's HTTP/2 by h2spec. `python -m bench.hostile.h2spec [--server NAME ...]`.

All cases run, the strict ones too. For our router the failures are compared with `h2spec_expected.toml`: a failure that
is not listed there fails the run, and so does a listed case that passes. Comparators are printed only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.hostile.h2spec_report import Case, Expected, comparison, failures, load_expected, read_junit, table
from bench.hostile.servers import HOST, SERVERS, Server
from homing.cluster.errors import CommandError

PROGRAM = Path(".tools/bin/h2spec")
PATH = "/grpc.health.v1.Health/Check"
PATHS = {"nghttpd": "/"}
CASE_TIMEOUT = 1  # seconds
RUN_TIMEOUT = 300.0  # seconds


def run_h2spec(server: Server) -> list[Case]:
    """All cases against this server."""
    with tempfile.TemporaryDirectory(prefix="homing-h2spec-") as folder:
        report = Path(folder) / "junit.xml"
        target = ["--host", HOST, "--port", str(server.port), "--path", PATHS.get(server.name, PATH)]
        options = ["--strict", "--timeout", str(CASE_TIMEOUT), "--junit-report", str(report)]
        done = subprocess.run(
            [str(PROGRAM), *target, *options], capture_output=True, text=True, timeout=RUN_TIMEOUT, check=False
        )
        if not report.exists():
            raise CommandError(f"h2spec wrote no report:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return read_junit(report.read_text())


def judge(server: Server, cases: list[Case], expected: Expected) -> list[str]:
    """What makes the run fail: nothing for a comparator."""
    return comparison(cases, expected) if server.name == "homing" else []


def as_json(server: Server, cases: list[Case], wrong: list[str]) -> str:
    """One line for machines."""
    shown = {"server": server.name, "version": server.version, "cases": [case._asdict() for case in cases]}
    return json.dumps({**shown, "wrong": wrong})


def main(arguments: list[str]) -> int:
    """The command line; the result is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile.h2spec", description=__doc__)
    parser.add_argument("--server", action="append", choices=sorted(SERVERS), help="default: homing")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    expected, code = load_expected(), 0
    for name in options.server or ["homing"]:
        try:
            with SERVERS[name]() as server:
                cases = run_h2spec(server)
        except CommandError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        wrong = judge(server, cases, expected)
        code = 1 if wrong else code
        if options.json:
            print(as_json(server, cases, wrong))
            continue
        print("\n".join([f"h2spec against {name} {server.version}", table(cases), *failures(cases, expected), *wrong]))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
