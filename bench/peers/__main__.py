"""The gateway beside the servers of other projects, plain and over TLS: `python -m bench.peers`, after `make peers`.

CPU is that of each server's process a connect, an echo of 200 bytes, one at a time, and a delivery of 200 bytes to all
connections. A ratio is to a loop of send() in the same round. Memory is what a connection adds to the resident memory
of a server that has a few already, 2 s after the last of them came, and 10 s after each has received and sent 64 KiB.
Each figure is the median of the rounds, in which the servers take turns.

Servers: `homing` has clients with tokens, registrations in etcd and homing.json; its CPU is the gateway's alone, an
echo is a ping with its pong, and a delivery that of a push, whose envelope is beside the 200 bytes. `homing-echo` has
the gateway's echo path, without token and registration, and sends nothing to all. `socketify` is its `App.run`, which
polls; `socketify-libuv` runs libuv's loop alone. `bare` is the loop of send(), which reads no frames.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.cluster.limits import raise_soft_limit
from bench.micro.tls_pair import write_pair
from bench.peers.measure import Sizes, measure
from bench.peers.results import PLAIN, TLS, TRANSPORTS, PeerResults
from bench.peers.servers import BARE, NAMES, Certificate, versions
from bench.peers.table import tables
from homing.cluster.errors import CommandError


class Suite:
    """Fills the results, server by server."""

    def __init__(self, servers: Sequence[str], sizes: Sizes, certificate: Certificate) -> None:
        self.results = PeerResults()
        self._servers, self._sizes = servers, sizes
        self._certificates = {PLAIN: Certificate(), TLS: certificate}

    def round(self, number: int, with_memory: bool) -> None:
        """CPU of each server, plain and over TLS; with memory in a second process that with permessage-deflate, too."""
        for transport in TRANSPORTS:
            for name in self._servers:
                self._measure(number, name, transport, with_memory=with_memory)
                if with_memory and name != BARE:
                    self._measure(number, name, transport, deflate=True)

    def _measure(self, number: int, name: str, transport: str, **which: bool) -> None:
        print(f"  {name}, {transport}", file=sys.stderr)
        try:
            figures, reasons = measure(name, self._certificates[transport], self._sizes, **which)
        except CommandError as error:
            figures, reasons = {}, [str(error)]
        self.results.add(name, transport, number, figures)
        for reason in reasons:
            self.results.add_reason(name, transport, reason)


def options_of(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--deliveries", type=int, default=100_000, help="of each round")
    parser.add_argument("--echoes", type=int, default=3000, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", action="append", choices=[name for name in NAMES if name != BARE], help="default: all"
    )
    parser.add_argument("--memory-rounds", type=int, default=2, help="rounds with memory, the first ones")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """The command line; the result is the exit code: 1 when something could not be measured."""
    options = options_of(arguments)
    for ending in (signal.SIGTERM, signal.SIGHUP):  # so that a terminated run still stops its servers
        signal.signal(ending, lambda received, _frame: sys.exit(128 + received))
    raise_soft_limit()
    servers = [name for name in NAMES if not options.only or name in options.only or name == BARE]
    sizes = Sizes(options.connections, options.deliveries, options.echoes)
    with tempfile.TemporaryDirectory(prefix="homing-peers-") as folder:
        ca, pair = write_pair(Path(folder))
        suite = Suite(servers, sizes, Certificate(ca, *pair))
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            suite.round(number, with_memory=number < options.memory_rounds)
    results = suite.results
    if options.json:
        print(json.dumps({"versions": versions(), **sizes._asdict(), "servers": results.as_json()}))
    else:
        print(", ".join(f"{name} {found}" for name, found in versions().items()))
        print("\n" + tables(results, servers, BARE))
    return 1 if results.reasons else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
