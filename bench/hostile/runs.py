"""Servers of one kind, one after another, and what is measured on them."""

import contextlib
import sys
from collections.abc import Mapping, Sequence

from bench.cluster.process_usage import rss_bytes
from bench.hostile.attack import Attack
from bench.hostile.costs import Costs
from bench.hostile.judge import faults
from bench.hostile.malformed import CASES, answer
from bench.hostile.measure import MIB, Result, measure, measure_costs
from bench.hostile.servers import SERVERS, Server

GROWN_MIB = 24  # a server that an attack has left so much larger is replaced before the next one
Answers = dict[str, str]
"""By malformed request, what came back."""

Faults = dict[str, list[str]]
"""By attack, why our router has not withstood it."""


class Runs:
    """The servers of one kind."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stack = contextlib.ExitStack()
        self._server: Server | None = None
        self._fresh_rss = 0

    def server(self) -> Server:
        """The current server, or a new one when an attack has changed that for long."""
        if self._server is None or rss_bytes(self._server.pid) > self._fresh_rss + GROWN_MIB * MIB:
            self.close()
            self._server = self._stack.enter_context(SERVERS[self._name]())
            self._fresh_rss = rss_bytes(self._server.pid)
        return self._server

    def attack(self, attack: Attack, seconds: float) -> Result | None:
        """The result of an attack; None for a port that the server does not have."""
        server = self.server()
        if attack.port == "http" and not server.http_port:
            return None
        result = measure(server, attack, seconds)
        if not result.serves:
            self.close()
        return result

    def answers(self) -> Answers:
        """The answers to malformed requests."""
        server = self.server()
        cases = [case for case in CASES if server.http_port or not case.http]
        return {case.name: answer(case, server.port, server.http_port) for case in cases}

    def costs(self) -> Costs:
        """The CPU of honest calls."""
        return measure_costs(self.server())

    def close(self) -> None:
        """Stop the server."""
        self._stack.close()
        self._server = None


def run_attacks(runs: Mapping[str, Runs], chosen: Sequence[Attack], seconds: float) -> tuple[list[Result], Faults]:
    """All results, and the faults of our router."""
    results: list[Result] = []
    wrong: Faults = {}
    for attack in chosen:
        found = {name: one.attack(attack, seconds) for name, one in runs.items()}
        results += [result for result in found.values() if result]
        if ours := found.get("homing"):
            if reasons := faults(attack, ours, found.get("grpcio")):
                wrong[attack.name] = reasons
            print(f"{attack.name}: {'; '.join(reasons) or 'withstood'}", file=sys.stderr, flush=True)
    return results, wrong


def misread(answers: Answers) -> list[str]:
    """The malformed requests that were answered wrongly."""
    return [case.name for case in CASES if case.name in answers and answers[case.name] not in case.expected]
