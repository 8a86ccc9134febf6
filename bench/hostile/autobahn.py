"""`make autobahn`: conformance of a gateway's WebSocket by Autobahn's cases. `python -m bench.hostile.autobahn`.

A real gateway with `--echo-path` is the server. The cases come from kosoku, a port of the test suite to Python 3.
A failure that `autobahn_expected.toml` does not list fails the run, and so does a listed case that passes.
"""

import argparse
import contextlib
import datetime
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from bench.cluster.bench_cluster import BenchCluster, start_cluster
from bench.hostile.autobahn_report import SuiteCase, contradictions, load_expected, read_report, table
from bench.process import child_process, module_command
from homing.cluster.errors import CommandError

SUITE = Path(".tools/kosoku/bin")
PAGE = Path("docs/interop.md")
BEGIN, END = "<!-- Written by `make autobahn RECORD=1`. -->\n", "<!-- The end of that. -->\n"
BEGIN_TLS = "<!-- Written by `make autobahn TLS=1 RECORD=1`. -->\n"
RUN_TIMEOUT = 1800.0  # seconds
PARALLEL = 2  # cases at once
SETTINGS = '[gateway]\necho_path = "/"\n'  # the suite opens no other path


def run_suite(address: str, patterns: Sequence[str]) -> list[SuiteCase]:
    """The cases that match a pattern, all if there is none, against the server at this host:port."""
    with tempfile.TemporaryDirectory(prefix="homing-autobahn-") as folder:
        include = [word for pattern in patterns for word in ("-i", pattern)]
        command = [str(SUITE / "kosoku"), "-m", "fuzzingclient", "-p", str(PARALLEL), "-o", folder, *include, address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT, check=False)
        report = Path(folder) / "index.json"
        if not report.exists():
            raise CommandError(f"the suite wrote no report:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return read_report(json.loads(report.read_bytes()))


@contextlib.contextmanager
def reachable(cluster: BenchCluster) -> Iterator[str]:
    """Where the suite finds the gateway in plain text, host:port; over TLS a relay speaks that for it."""
    address = cluster.urls[0].split("/")[2]
    if not cluster.ca:
        yield address
        return
    with child_process(module_command("bench.hostile.tls_relay", address, cluster.ca)) as relay:
        assert relay.stdout is not None
        yield f"127.0.0.1:{int(relay.stdout.readline())}"


def suite_version() -> str:
    """The version of kosoku."""
    code = "from importlib.metadata import version; print(version('kosoku'))"
    done = subprocess.run([str(SUITE / "python"), "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def record(lines: Sequence[str], begin: str = BEGIN) -> None:
    """Put these lines into the page behind `begin`, in place of those of the run before."""
    before, _, rest = PAGE.read_text().partition(begin)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + begin + "\n" + "\n".join(lines) + "\n\n" + END + after)


def main(arguments: list[str]) -> int:
    """The command line; the result is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile.autobahn", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="CASES", help="such as 12.*; default: all")
    parser.add_argument("--record", action="store_true", help=f"write the table to {PAGE}")
    parser.add_argument("--tls", action="store_true", help="the gateway speaks TLS, by a relay in between")
    options = parser.parse_args(arguments)
    try:
        with start_cluster(1, settings=SETTINGS, tls=options.tls) as cluster, reachable(cluster) as address:
            cases = run_suite(address, options.only)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    wrong = contradictions(cases, load_expected())
    run_with = f"kosoku {suite_version()}, Homing {version('homing')}, Python {platform.python_version()}"
    run_with += ", over TLS" if options.tls else ""
    print("\n".join([run_with, *table(cases), *wrong]))
    if options.record:
        record([f"{run_with}, {datetime.date.today()}:", "", *table(cases)], BEGIN_TLS if options.tls else BEGIN)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
