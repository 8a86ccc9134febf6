"""A worker process that pushes through PushStream, open loop: `python -m bench.cluster.load.push_worker`.

The worker uses the services' own gRPC code (`runtime.grpc_wire`), at a tenth of the cost of grpc.aio; no other module
of bench.cluster imports a service. The parent sends commands, one JSON object per line on stdin, and receives the
counts, one line per command. The first line has the settings: `{"router": HOST:PORT}`. Commands: `run` (a series:
`kind`, `target`, `names`, `count`, `rate`, `seconds`, `size`, `ack_ms`, `trace`; `outstanding` > 0: a closed loop with
so many pushes in flight, instead of a rate), `counts`, `dump` (a byte per push, see bench.cluster.load.outcomes).
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.cluster.load import event_loop
from bench.cluster.load.outcomes import PushOutcomes
from bench.cluster.load.periodic_timer import PeriodicTimer
from bench.cluster.load.push_encoder import PushEncoder, batches
from bench.cluster.load.worker_settings import read_settings
from homing.v1.router_pb2 import PushStreamResponse

if TYPE_CHECKING:
    from runtime.grpc_wire.call import Call
    from runtime.grpc_wire.status import StreamEnded

LATE_AFTER_US = 20_000  # behind its due time at which a push counts as late
PATH = "/homing.v1.Router/PushStream"
TRACEPARENTS: dict[str, Callable[[int], str]] = {
    "": lambda _number: "",
    "unsampled": lambda number: f"00-{number + 1:032x}-{number + 1:016x}-00",
    "sampled": lambda number: f"00-{secrets.token_hex(16)}-{number + 1:016x}-01",
}


def now_us() -> int:
    """The machine's monotonic clock, which all processes share."""
    return time.monotonic_ns() // 1000


class PushSeries:
    """One series of pushes, and the handler of its stream (`runtime.grpc_wire.call.StreamHandler`)."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._rate = float(settings["rate"])
        self._seconds = float(settings["seconds"])
        self._outstanding = int(settings["outstanding"])
        self.total = 0 if self._outstanding else int(self._rate * self._seconds)
        self._encoder = PushEncoder(settings, TRACEPARENTS[settings["trace"]])
        self._sent_at: list[int] = []  # of a closed loop: when each push was sent
        self.outcomes = PushOutcomes(self.total)
        self._started_at = 0
        self.late = self.sent = 0
        self.stream_end = ""  # how the stream ended; "" while it is open
        self._call: Call
        self._timer: PeriodicTimer | None = None

    def start(self, call: "Call") -> None:
        """Start to push on this call."""
        self._call = call
        self._started_at = now_us()
        self._timer = PeriodicTimer(0.01 if self._outstanding else 1 / self._rate, self._on_tick)

    @property
    def sending(self) -> bool:
        """Whether there are pushes left to send."""
        return self._timer is not None

    def stop(self) -> None:
        """Stop sending."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _on_tick(self) -> None:
        if self._call.writable:
            self._send()
        timed_out = self._outstanding and now_us() > self._started_at + self._seconds * 1e6
        if self.stream_end or timed_out or (not self._outstanding and self.sent >= self.total):
            self.stop()

    def _due_us(self, number: int) -> int:
        if number < len(self._sent_at):
            return self._sent_at[number]
        return self._started_at + int(number * 1e6 / self._rate)

    def _send(self) -> None:
        now = now_us()
        if self._outstanding:
            end = self.outcomes.reported + self._outstanding
            self._sent_at.extend([now] * (end - self.sent))
            self.outcomes.codes.extend(bytes(end - self.sent))
        else:
            end = min(self.total, int((now - self._started_at) * self._rate / 1e6) + 1)
        pushes: list[bytes] = []
        for number in range(self.sent, end):
            due = self._due_us(number)
            self.late += now - due > LATE_AFTER_US
            pushes.append(self._encoder.push(number, due))
            self.outcomes.on_sent(number)
        self.sent = max(self.sent, end)
        for batch in batches(pushes):
            self._call.send(batch)
        if self._outstanding:
            self.total = self.sent

    # The stream's events ----------------------------------------------------------------------------------------------

    def on_message(self, message: bytes) -> None:
        """Reports of some pushes."""
        now = now_us()
        for report in PushStreamResponse.FromString(message).reports:
            number = int(report.push_id.split("-")[1])
            error = report.error.code if report.HasField("error") else ""
            self.outcomes.on_report(number, dict(report.counts), error, now - self._due_us(number))
        if self._outstanding and self.sending and self._call.writable:
            self._send()

    def on_writable(self) -> None:
        """Nothing to do: the next tick sends the pushes that are due."""

    def on_half_close(self) -> None:
        """Nothing to do: only clients half-close."""

    def on_end(self, end: "StreamEnded") -> None:
        """The stream has ended."""
        self.stream_end = str(end)
        self.stop()


class PushWorker:
    """Runs the parent's commands, one series at a time."""

    def __init__(self, router: str) -> None:
        self._router = router
        self._series: PushSeries | None = None

    async def run(self) -> None:
        """Read and run commands until stdin ends."""
        reader = asyncio.StreamReader(limit=1 << 24)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        from runtime.grpc_wire.client import dial

        self._dial = dial
        print("{}", flush=True)  # started
        while line := await reader.readline():
            arguments = json.loads(line)
            await getattr(self, "_command_" + arguments.pop("command"))(arguments)
            print(json.dumps(self._counts()), flush=True)
        if self._series is not None:
            self._series.stop()

    def _counts(self) -> dict[str, Any]:
        series = self._series
        if series is None:
            return {"sending": False}
        return {
            "sending": series.sending,
            "total": series.total,
            "sent": series.sent,
            "late": series.late,
            "stream_end": series.stream_end,
            **series.outcomes.as_dict(),
        }

    async def _command_run(self, settings: dict[str, Any]) -> None:
        self._series = PushSeries(settings)
        self._series.start(await self._dial(self._router, PATH, self._series))

    async def _command_counts(self, _arguments: dict[str, Any]) -> None:
        """Every command returns the counts."""

    async def _command_dump(self, arguments: dict[str, Any]) -> None:
        assert self._series is not None
        with open(arguments["path"], "wb") as file:  # noqa: ASYNC230  a few ms, and nothing is sent meanwhile
            file.write(self._series.outcomes.codes)


def main() -> None:
    """Run the worker."""
    settings = read_settings()
    event_loop.run(PushWorker(settings["router"]).run())


if __name__ == "__main__":
    main()
