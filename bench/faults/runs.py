"""Runs experiments one after the other, each on a cluster of its own."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.faults.checker import Recording, read_recording, sort_records, violations_of
from bench.faults.experiment import Criterion, Experiment, ExperimentResult, Facts, verdict, within
from bench.faults.figures import outcomes
from bench.faults.world import AGREEMENT_WITHIN, Options, World, start_world

SETTLE = 2.0  # seconds of load after the faults, before the probes
LONGEST = 150.0  # seconds of one experiment, its start and its stop included


async def run_all(
    experiments: Sequence[Experiment], options: Options, histories: Path, report: Callable[[str], None]
) -> list[ExperimentResult]:
    """The results, in order. `report` gets a line for each begin and end."""
    results = []
    for experiment in experiments:
        report(f"{experiment.number:>3}  {experiment.name}: {experiment.action} ...")
        result = await run_one(experiment, options, histories)
        results.append(result)
        report(f"     {result.verdict} after {result.seconds:.0f} s")
    return results


async def run_one(experiment: Experiment, options: Options, histories: Path) -> ExperimentResult:
    """One experiment. An error of its own is a criterion that is not met."""
    began, directory = time.monotonic(), Path(tempfile.mkdtemp(prefix="homing-faults-"))
    path = histories / f"{experiment.number}-{experiment.name.replace(' ', '-')}.jsonl"
    stall, criteria = 0.0, list[Criterion]()
    try:
        chosen = options._replace(tls=options.tls or experiment.tls)
        async with asyncio.timeout(LONGEST), start_world(directory, path, chosen, experiment.proxied) as world:
            facts = await _inject(experiment, world)
            stall = world.stalls.longest
        criteria = list(_criteria(experiment, read_recording(path), facts))
    except Exception as error:
        criteria.append(Criterion(f"the experiment itself failed: {type(error).__name__}: {error}", False))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    recording = read_recording(path) if path.exists() else sort_records([])
    violations = [f"{one.invariant}: {one.text}" for one in violations_of(recording)]
    return ExperimentResult(
        *(experiment.number, experiment.name, experiment.action),
        *(verdict(criteria, len(violations), stall), criteria, violations),
        *(len(recording.pushes), len(recording.receipts), stall),
        *(time.monotonic() - began, experiment.remark),
    )


async def _inject(experiment: Experiment, world: World) -> Facts:
    facts = await experiment.inject(world)
    agreed = await world.wait_agreement()
    facts["agreed"] = float("inf") if agreed is None else agreed
    await asyncio.sleep(SETTLE)
    await world.load.probe(world.clients.live)
    facts["unended"] = await world.load.stop(within=25.0)
    return facts


def _criteria(experiment: Experiment, recording: Recording, facts: Facts) -> Iterator[Criterion]:
    yield from experiment.judge(recording, facts)
    counted = outcomes(recording.pushes)
    unknown = counted["unknown"] + int(facts["unended"])
    yield Criterion(f"{counted['error']} pushes refused", not counted["error"])
    yield Criterion(f"{unknown} calls without a report", experiment.unreported or not unknown)
    text = "tables, sockets and etcd's keys agree again"
    yield within(text, facts["agreed"], AGREEMENT_WITHIN)
