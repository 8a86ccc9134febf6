"""Replay two real documents, keystroke by keystroke, through a running cluster, and check what every viewer ends with.

    homing up --gateways 3
    python examples/shared_document/run.py

50 viewers on all gateways rebuild the text strictly in arrival order. 5 of them join midway, 5 on a gateway that is
added while the writers type, one leaves and comes back. `clownschool` has two writers who answer each other: edit i is
typed by writer i mod 2 once the push of edit i-1 has reached them. `friendsforever` has one writer with 64 edits in
flight. The check passes when each text is exactly the recorded one.
"""

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import stage
import traces
from stage import Process, Stage
from writers import Writer, write

FIRST, MIDWAY, ON_THE_NEW_ONE = 40, 5, 5  # viewers
WRITERS = {"clownschool": (2, 1), "friendsforever": (1, 64)}  # how many, edits in flight
PATIENCE = 20.0  # seconds for the last push to arrive


class Performance:
    """One recording played once: what happens at which point of it."""

    def __init__(self, stage: Stage, recording: traces.Recording, progress: bool) -> None:
        self._stage = stage
        self._recording = recording
        self._progress = progress
        self._marks = {self._at(share): scene for share, scene in SCENES.items()}
        self._running: list[asyncio.Task[None]] = []

    def _at(self, share: float) -> int:
        return int(len(self._recording.edits) * share)

    async def checkpoint(self, number: int) -> None:
        """Called before each edit. Scenes run beside the writing; near the end it waits until all are over."""
        if scene := self._marks.get(number):
            self._running.append(asyncio.create_task(scene(self._stage)))
        if number == self._at(0.9):
            await asyncio.gather(*self._running)
        if self._progress and (number % 200 == 0 or number == len(self._recording.edits) - 1):
            print(
                f"\r{self._recording.name}: {number + 1} of {len(self._recording.edits)} edits ",
                end="",
                file=sys.stderr,
            )

    async def stop(self) -> None:
        """Give up scenes that still run."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


async def midway(stage: Stage) -> None:
    await stage.add_viewers(MIDWAY, stage.urls)


async def leave(stage: Stage) -> None:
    await stage.houses[0].ask({"do": "leave"})


async def new_gateway(stage: Stage) -> None:
    url = await stage.add_gateway()
    await stage.add_viewers(ON_THE_NEW_ONE, [url])


async def come_back(stage: Stage) -> None:
    await stage.houses[0].ask({"do": "return", "url": stage.urls[-1]})


SCENES = {0.2: new_gateway, 0.25: midway, 0.4: leave, 0.6: come_back}


async def play(stage: Stage, recording: traces.Recording, progress: bool) -> dict[str, Any]:
    """Play one recording; the answer is its line of the result."""
    count, in_flight = WRITERS[recording.name]
    await stage.add_viewers(FIRST, stage.urls)
    performance = Performance(stage, recording, progress)
    async with aiohttp.ClientSession() as http:
        writers = [
            await Writer.open(http, stage.urls[number % len(stage.urls)], stage.token, stage.file)
            for number in range(count)
        ]
        readers = [asyncio.create_task(writer.read()) for writer in writers]
        stuck = ""
        sent: list[float] = []
        try:
            await write(writers, stage.file, recording.edits, in_flight, performance.checkpoint, sent)
        except TimeoutError:
            stuck = f"no push for a long time after {len(sent)} edits were sent"
        finally:
            await performance.stop()
            ends = await stage.finish(1.0 if stuck else PATIENCE)
            await asyncio.gather(*(writer.close() for writer in writers), *readers)
    if progress:
        print("\r\x1b[K", end="", file=sys.stderr)
    return judge(recording, sent, ends, stuck)


def judge(recording: traces.Recording, sent: list[float], ends: Sequence[dict[str, Any]], stuck: str) -> dict[str, Any]:
    """Compare every viewer's text with the recorded one; work out how long edits took to the last viewer."""
    viewers = sum(len(end["edits"]) for end in ends)
    equal = sum(count for end in ends for text, count in end["texts"] if text == recording.end)
    arrived = [max(times) for times in zip(*(end["last_seen"] for end in ends), strict=True)]
    delays = sorted(came - went for went, came in zip(sent, arrived, strict=False) if came) or [0.0]
    seconds = max(arrived) - sent[0] if sent else 0.0
    return {
        "recording": recording.name,
        "edits": len(sent),
        "viewers": viewers,
        "equal": equal,
        "passed": equal == viewers == FIRST + MIDWAY + ON_THE_NEW_ONE and not stuck,
        "faults": [*([stuck] if stuck else []), *sorted({fault for end in ends for fault in end["faults"]})],
        "seconds": round(seconds, 1),
        "edits_per_s": round(len(sent) / seconds, 1) if seconds > 0 else 0.0,
        "p50_ms": round(delays[len(delays) // 2] * 1000, 2),
        "p99_ms": round(delays[int(len(delays) * 0.99)] * 1000, 2),
        "viewers_cpu_s": round(sum(end["cpu"] for end in ends), 1),
    }


def describe(result: dict[str, Any]) -> str:
    """One result for a person."""
    lines = [
        f"{result['recording']}: {result['equal']} of {result['viewers']} viewers end with exactly the recorded text; "
        f"{result['edits']} edits in {result['seconds']} s: {result['edits_per_s']} edits/s; "
        f"from edit to the last viewer p50 {result['p50_ms']} ms, p99 {result['p99_ms']} ms"
    ]
    return "\n".join([*lines, *(f"  {fault}" for fault in result["faults"])])


async def run(given: argparse.Namespace, names: Sequence[str]) -> bool:
    """All recordings, one after the other. Whether all passed."""
    cluster = json.loads((given.run_dir / "cluster.json").read_text())
    results = []
    for name in names:
        recording = traces.load(name, given.limit)
        fault = ["--swap-at", str(len(recording.edits) * 7 // 10)] if given.plant_swap else []
        backend = await Process.start("planted_swap.py" if fault else "backend.py", "--run-dir", given.run_dir, *fault)
        try:
            await backend.line()
            file = f"{name}-{secrets.token_hex(4)}"
            async with Stage(given.run_dir, cluster, file, len(recording.edits)) as stage:
                results.append(await play(stage, recording, sys.stderr.isatty()))
        finally:
            await backend.stop()
        if not given.json:
            print(describe(results[-1]), flush=True)
    if given.json:
        print(json.dumps({"recordings": results}))
    return all(result["passed"] for result in results)


def main() -> int:
    """Exit status 0: every viewer ended with exactly the recorded text; 1: not so."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--run-dir", type=Path, default=Path(".homing"), help="of the cluster (default: .homing)")
    arguments.add_argument("--recording", choices=traces.NAMES, help="only this one")
    arguments.add_argument("--limit", type=int, metavar="N", help="only the first N edits")
    arguments.add_argument(
        "--plant-swap", action="store_true", help="let one push overtake another: the check must fail (friendsforever)"
    )
    arguments.add_argument("--json", action="store_true", help="print JSON for programs")
    given = arguments.parse_args()
    names = ["friendsforever"] if given.plant_swap else [given.recording] if given.recording else traces.NAMES
    if not (given.run_dir / "cluster.json").exists():
        print(f"no cluster in {given.run_dir}: start one with `homing up --gateways 3`", file=sys.stderr)
        return 1
    try:
        return 0 if asyncio.run(run(given, names)) else 1
    except (ConnectionError, stage.Failed) as error:
        print(f"shared_document: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
