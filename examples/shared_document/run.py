"""Replay two real documents, keystroke by keystroke, through a running cluster, and check every viewer's final text.

    homing up --gateways 3
    python examples/shared_document/run.py

50 viewers on all gateways rebuild the text strictly in arrival order. 5 of them join half-way, 5 on a gateway that is
added during the replay, and one disconnects and reconnects. `clownschool` has two writers in turn: writer i mod 2 sends
edit i once the push of edit i-1 has reached it. `friendsforever` has one writer with 64 edits in flight. The check
passes when each text is exactly the recorded one.
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
import traces
from environment import JsonLinesProcess, ProcessFailed, ReplayEnvironment
from writers import PUSH_TIMEOUT, Writer, write

INITIAL_VIEWERS, LATE_VIEWERS, NEW_GATEWAY_VIEWERS = 40, 5, 5
WRITERS = {"clownschool": (2, 1), "friendsforever": (1, 64)}  # number of writers, edits in flight
FINISH_TIMEOUT = 20.0  # seconds for the last push to arrive


class Replay:
    """One replay of a recording, with its membership changes at fixed points."""

    def __init__(self, environment: ReplayEnvironment, recording: traces.Recording, progress: bool) -> None:
        self._environment = environment
        self._recording = recording
        self._progress = progress
        self._changes = {self._edit_at(share): change for share, change in CHANGES.items()}
        self._running: list[asyncio.Task[None]] = []

    def _edit_at(self, share: float) -> int:
        return int(len(self._recording.edits) * share)

    async def checkpoint(self, number: int) -> None:
        """Called before each edit. Starts the change that is due, and waits for all changes near the end."""
        if change := self._changes.get(number):
            self._running.append(asyncio.create_task(change(self._environment)))
        if number == self._edit_at(0.9):
            await asyncio.gather(*self._running)
        if self._progress and (number % 200 == 0 or number == len(self._recording.edits) - 1):
            print(
                f"\r{self._recording.name}: {number + 1} of {len(self._recording.edits)} edits ",
                end="",
                file=sys.stderr,
            )

    async def stop(self) -> None:
        """Cancel changes that still run."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


async def add_late_viewers(environment: ReplayEnvironment) -> None:
    await environment.add_viewers(LATE_VIEWERS, environment.urls)


async def disconnect_viewer(environment: ReplayEnvironment) -> None:
    await environment.viewer_processes[0].request("disconnect")


async def add_gateway(environment: ReplayEnvironment) -> None:
    url = await environment.add_gateway()
    await environment.add_viewers(NEW_GATEWAY_VIEWERS, [url])


async def reconnect_viewer(environment: ReplayEnvironment) -> None:
    await environment.viewer_processes[0].request("reconnect", url=environment.urls[-1])


CHANGES = {0.2: add_gateway, 0.25: add_late_viewers, 0.4: disconnect_viewer, 0.6: reconnect_viewer}  # by share of edits


async def replay(environment: ReplayEnvironment, recording: traces.Recording, progress: bool) -> dict[str, Any]:
    """Replay one recording. Returns its result."""
    count, in_flight = WRITERS[recording.name]
    await environment.add_viewers(INITIAL_VIEWERS, environment.urls)
    running = Replay(environment, recording, progress)
    async with aiohttp.ClientSession() as http:
        writers = [
            await Writer.open(
                http, environment.urls[number % len(environment.urls)], environment.token, environment.file
            )
            for number in range(count)
        ]
        readers = [asyncio.create_task(writer.read()) for writer in writers]
        stalled = ""
        sent: list[float] = []
        try:
            await write(writers, environment.file, recording.edits, in_flight, running.checkpoint, sent)
        except (TimeoutError, ConnectionError) as error:
            reason = str(error) or f"no push for {PUSH_TIMEOUT:.0f} s"
            stalled = f"pushes stopped after {len(sent)} edits were sent: {reason}"
        finally:
            await running.stop()
            results = await environment.finish(1.0 if stalled else FINISH_TIMEOUT)
            await asyncio.gather(*(writer.close() for writer in writers), *readers)
    if progress:
        print("\r\x1b[K", end="", file=sys.stderr)
    return evaluate(recording, sent, results, stalled)


def evaluate(
    recording: traces.Recording, sent: list[float], results: Sequence[dict[str, Any]], stalled: str
) -> dict[str, Any]:
    """Compare every viewer's text with the recorded one, and compute the delay of each edit to the last viewer."""
    viewers = sum(len(result["edits"]) for result in results)
    equal = sum(count for result in results for text, count in result["texts"] if text == recording.end)
    arrived = [max(times) for times in zip(*(result["arrived_at"] for result in results), strict=True)]
    delays = sorted(arrival - start for start, arrival in zip(sent, arrived, strict=False) if arrival) or [0.0]
    seconds = max(arrived) - sent[0] if sent else 0.0
    return {
        "recording": recording.name,
        "edits": len(sent),
        "viewers": viewers,
        "equal": equal,
        "passed": equal == viewers == INITIAL_VIEWERS + LATE_VIEWERS + NEW_GATEWAY_VIEWERS and not stalled,
        "faults": [
            *([stalled] if stalled else []),
            *sorted({fault for result in results for fault in result["faults"]}),
        ],
        "seconds": round(seconds, 1),
        "edits_per_s": round(len(sent) / seconds, 1) if seconds > 0 else 0.0,
        "p50_ms": round(delays[len(delays) // 2] * 1000, 2),
        "p99_ms": round(delays[int(len(delays) * 0.99)] * 1000, 2),
        "viewers_cpu_s": round(sum(result["cpu"] for result in results), 1),
    }


def describe(result: dict[str, Any]) -> str:
    """One result for a person."""
    lines = [
        f"{result['recording']}: {result['equal']} of {result['viewers']} viewers end with exactly the recorded text; "
        f"{result['edits']} edits in {result['seconds']} s: {result['edits_per_s']} edits/s; "
        f"from edit to the last viewer p50 {result['p50_ms']} ms, p99 {result['p99_ms']} ms"
    ]
    return "\n".join([*lines, *(f"  {fault}" for fault in result["faults"])])


async def run(arguments: argparse.Namespace, names: Sequence[str]) -> bool:
    """Replay all recordings in turn. Whether all passed."""
    cluster = json.loads((arguments.run_dir / "cluster.json").read_text())
    results = []
    for name in names:
        recording = traces.load(name, arguments.limit)
        fault = ["--swap-at", str(len(recording.edits) * 7 // 10)] if arguments.plant_swap else []
        backend = await JsonLinesProcess.start(
            "planted_swap.py" if fault else "backend.py", "--run-dir", arguments.run_dir, *fault
        )
        try:
            await backend.receive()
            file = f"{name}-{secrets.token_hex(4)}"
            async with ReplayEnvironment(arguments.run_dir, cluster, file, len(recording.edits)) as environment:
                results.append(await replay(environment, recording, sys.stderr.isatty()))
        finally:
            await backend.stop()
        if not arguments.json:
            print(describe(results[-1]), flush=True)
    if arguments.json:
        print(json.dumps({"recordings": results}))
    return all(result["passed"] for result in results)


def main() -> int:
    """Returns the exit status: 0 when every viewer ends with exactly the recorded text, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=Path, default=Path(".homing"), help="of the cluster (default: .homing)")
    parser.add_argument("--recording", choices=traces.NAMES, help="only this one")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N edits")
    parser.add_argument(
        "--plant-swap", action="store_true", help="let one push overtake another: the check must fail (friendsforever)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    arguments = parser.parse_args()
    names = (
        ["friendsforever"] if arguments.plant_swap else [arguments.recording] if arguments.recording else traces.NAMES
    )
    if not (arguments.run_dir / "cluster.json").exists():
        print(f"no cluster in {arguments.run_dir}: start one with `homing up --gateways 3`", file=sys.stderr)
        return 1
    try:
        return 0 if asyncio.run(run(arguments, names)) else 1
    except (ConnectionError, ProcessFailed) as error:
        print(f"shared_document: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
