"""The simulation is seen to fail: each planted fault is found within a few seeds, which pass without it."""

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.run import run

SEEDS = 20
STEPS = 500


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_planted_fault_is_found(name: str) -> None:
    mutation = MUTATIONS[name]
    for seed in range(1, SEEDS + 1):
        if run(seed, STEPS, mutation.replaced, mutation.fault_kinds).violations:
            sound = run(seed, STEPS, None, mutation.fault_kinds)
            assert sound.violations == [], "\n".join(sound.tail[-20:])
            return
    pytest.fail(f"{name} was not found in {SEEDS} seeds")
