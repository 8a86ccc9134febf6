"""A short run of the simulation, and a state machine over it.

The random walk chooses by one seed, so that a long run is fast and a failing seed repeats exactly. The state machine
has the same actions as rules, so that hypothesis shrinks what it finds to the few actions that matter.
"""

import os
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.simulation.actions import FILES, USERS, Actions
from tests.simulation.cluster import GATEWAYS, ROUTERS, STORE, Cluster
from tests.simulation.run import Result, finish, judge, run
from tests.simulation.walk import FAULT_KINDS

SLOW_MACHINE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def explain(result: Result) -> str:
    """What a failed run shows."""
    lines = [f"{one.invariant} at {one.t:.6f}: {one.text}" for one in result.violations[:5]]
    again = f"python -m tests.simulation --seed {result.seed} --steps {result.requested}"
    return "\n".join([*result.tail[-40:], *lines, again])


@given(st.integers(0, 2**32))
@settings(max_examples=12, deadline=None, suppress_health_check=SLOW_MACHINE)
def test_a_random_walk_violates_nothing(seed: int) -> None:
    result = run(seed, 300)
    assert not result.violations, explain(result)


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_each_kind_of_fault_violates_nothing(kind: str) -> None:
    result = run(1, 200, None, (kind,))
    assert not result.violations, explain(result)
    assert result.receipts
    assert result.faults


def test_a_seed_repeats_exactly() -> None:
    assert run(7, 200).digest == run(7, 200).digest != run(8, 200).digest


def test_a_seed_repeats_in_another_process_with_other_hashes() -> None:
    script = "from tests.simulation.run import run; print(run(7, 200).digest)"
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    output = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert int(output.stdout) == run(7, 200).digest


names = st.sampled_from(USERS[:3])
files = st.sampled_from(FILES[:2])
gateways = st.sampled_from(GATEWAYS)
routers = st.sampled_from(ROUTERS)
seconds = st.sampled_from((0.01, 0.1, 0.5, 1.5, 4.0))
pauses = st.sampled_from((0.0, 0.0002, 0.001, 0.005, 0.02, 0.3, 1.5))
numbers = st.integers(0, 99)


class SimulationMachine(RuleBasedStateMachine):
    """Clients, callers and faults, one rule each; the invariants are judged at the end, after everything has healed."""

    @initialize(seed=st.integers(0, 1000))
    def start(self, seed: int) -> None:
        self.seed = seed
        self.cluster = Cluster(seed)
        self.cluster.__enter__()
        self.actions = Actions(self.cluster)
        self.times: list[float] = []

    @rule(pause=pauses)
    def wait(self, pause: float) -> None:
        self.times.append(self.cluster.now)
        self.cluster.run(pause)

    @rule(user=names, gateway=gateways, joined=st.sets(files))
    def connect(self, user: str, gateway: str, joined: set[str]) -> None:
        self.actions.connect(user, gateway, tuple(sorted(joined)))

    @rule(number=numbers, gateway=gateways)
    def move(self, number: int, gateway: str) -> None:
        if clients := self.cluster.open_clients():
            self.actions.move(clients[number % len(clients)], gateway)

    @rule(number=numbers)
    def disconnect(self, number: int) -> None:
        if clients := self.cluster.open_clients():
            self.actions.disconnect(clients[number % len(clients)])

    @rule(number=numbers, file=files, joins=st.booleans())
    def change_file(self, number: int, file: str, joins: bool) -> None:
        if clients := self.cluster.open_clients():
            client = clients[number % len(clients)]
            _ = self.actions.join(client, file) if joins else self.actions.leave(client, file)

    @rule(router=routers, user=names, file=files, leave=st.booleans())
    def change_file_for_backend(self, router: str, user: str, file: str, leave: bool) -> None:
        self.actions.change_membership(router, user, file, leave)

    @rule(router=routers, user=names, ack_timeout=st.sampled_from((0.0, 0.0, 0.2)))
    def push_to_user(self, router: str, user: str, ack_timeout: float) -> None:
        self.actions.push(router, "a", ("user", user), ack_timeout=ack_timeout)

    @rule(router=routers, file=files, ttl=st.sampled_from((30.0, 0.005, 0.5)))
    def push_to_file(self, router: str, file: str, ttl: float) -> None:
        self.actions.push(router, "a", ("file", file), ttl=ttl)

    @rule(router=routers, number=numbers)
    def push_to_session(self, router: str, number: int) -> None:
        if clients := self.cluster.open_clients():
            self.actions.push(router, "a", ("session", str(clients[number % len(clients)].session)))

    @rule(name=st.sampled_from((*GATEWAYS, *ROUTERS)), duration=seconds)
    def pause_process(self, name: str, duration: float) -> None:
        self.actions.pause(name, duration)

    @rule(gateway=gateways, duration=seconds)
    def kill(self, gateway: str, duration: float) -> None:
        self.actions.kill(gateway, duration)

    @rule(gateway=gateways)
    def drain(self, gateway: str) -> None:
        self.actions.drain(gateway, 4.0)

    @rule(host=st.sampled_from((*GATEWAYS, *ROUTERS)), to_store=st.booleans(), duration=seconds)
    def block_store(self, host: str, to_store: bool, duration: float) -> None:
        self.actions.block(*((host, STORE) if to_store else (STORE, host)), duration)

    @rule(router=routers, gateway=gateways, forth=st.booleans(), duration=seconds)
    def block_hop(self, router: str, gateway: str, forth: bool, duration: float) -> None:
        self.actions.block(*((router, gateway) if forth else (gateway, router)), duration)

    @rule(router=routers, duration=seconds)
    def delay_watch(self, router: str, duration: float) -> None:
        self.actions.delay_watch(router, duration)

    @rule(router=routers, lost=st.booleans(), compact=st.booleans())
    def break_watch(self, router: str, lost: bool, compact: bool) -> None:
        self.actions.break_watch(router, lost, compact)

    def teardown(self) -> None:
        if not hasattr(self, "cluster"):
            return
        try:
            finish(self.actions)
            result = judge(self.cluster, self.seed, self.times)
        finally:
            self.cluster.__exit__()
        assert not result.violations, explain(result)


def test_no_sequence_of_actions_violates_an_invariant() -> None:
    options = settings(max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=SLOW_MACHINE)
    run_state_machine_as_test(SimulationMachine, settings=options)
