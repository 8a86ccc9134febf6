"""A process that pushes through PushStream, open loop: `python -m bench.cluster.load.pusher`.

It speaks gRPC with the services' own `streams`, which costs a tenth of grpc.aio: like `homing gateway` it is a process
of the services' side, and the only module of bench.cluster that imports any of them. Its parent says what to do, one
JSON object a line on stdin, and gets the counts as one line for each. The first line: `{"router": HOST:PORT}`.
Commands: `run` (a series: `kind`, `target`, `names`, `count`, `rate`, `seconds`, `size`, `ack_ms`, `trace`; with
`outstanding` so many are under way at any time, instead of a rate), `told`, `dump` (a byte a push, see
bench.cluster.load.outcomes).
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.cluster.load import loops
from bench.cluster.load.firstline import first_line
from bench.cluster.load.outcomes import Outcomes
from bench.cluster.load.requests import Requests, batches
from bench.cluster.load.ticks import Ticks
from homing.v1.router_pb2 import PushStreamResponse

if TYPE_CHECKING:
    from runtime.grpc_wire.call import Call
    from runtime.grpc_wire.status import StreamEnded

LATE_US = 20_000  # behind its moment at which a push counts as late
PATH = "/homing.v1.Router/PushStream"
TRACES: dict[str, Callable[[int], str]] = {
    "": lambda _number: "",
    "unsampled": lambda number: f"00-{number + 1:032x}-{number + 1:016x}-00",
    "sampled": lambda number: f"00-{secrets.token_hex(16)}-{number + 1:016x}-01",
}


def now_us() -> int:
    """The machine's monotonic clock, which all its processes share."""
    return time.monotonic_ns() // 1000


class Series:
    """One run of pushes; hears the stream."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._rate = float(told["rate"])
        self._seconds = float(told["seconds"])
        self._outstanding = int(told["outstanding"])
        self.number = 0 if self._outstanding else int(self._rate * self._seconds)
        self._requests = Requests(told, TRACES[told["trace"]])
        self._due: list[int] = []  # of a flood: when each left
        self.outcomes = Outcomes(self.number)
        self._began = 0
        self.late = self.sent = 0
        self.ended = ""
        self._call: Call
        self._ticks: Ticks | None = None

    def begin(self, call: "Call") -> None:
        """From now on."""
        self._call = call
        self._began = now_us()
        self._ticks = Ticks(0.01 if self._outstanding else 1 / self._rate, self._on_tick)

    @property
    def busy(self) -> bool:
        """Whether there is something left to be sent."""
        return self._ticks is not None

    def stop(self) -> None:
        """Send no more."""
        if self._ticks is not None:
            self._ticks.close()
            self._ticks = None

    def _on_tick(self) -> None:
        if self._call.writable:
            self._send()
        timed_out = self._outstanding and now_us() > self._began + self._seconds * 1e6
        if self.ended or timed_out or (not self._outstanding and self.sent >= self.number):
            self.stop()

    def _due_us(self, number: int) -> int:
        return self._due[number] if number < len(self._due) else self._began + int(number * 1e6 / self._rate)

    def _send(self) -> None:
        now = now_us()
        if self._outstanding:
            end = self.outcomes.reported + self._outstanding
            self._due.extend([now] * (end - self.sent))
            self.outcomes.codes.extend(bytes(end - self.sent))
        else:
            end = min(self.number, int((now - self._began) * self._rate / 1e6) + 1)
        pushes: list[bytes] = []
        for number in range(self.sent, end):
            due = self._due_us(number)
            self.late += now - due > LATE_US
            pushes.append(self._requests.push(number, due))
            self.outcomes.sent(number)
        self.sent = max(self.sent, end)
        for batch in batches(pushes):
            self._call.send(batch)
        if self._outstanding:
            self.number = self.sent

    # What the stream says ---------------------------------------------------------------------------------------------

    def on_message(self, message: bytes) -> None:
        """Some reports."""
        now = now_us()
        for report in PushStreamResponse.FromString(message).reports:
            number = int(report.push_id.partition("-")[2])
            error = report.error.code if report.HasField("error") else ""
            self.outcomes.report(number, dict(report.counts), error, now - self._due_us(number))
        if self._outstanding and self.busy and self._call.writable:
            self._send()

    def on_writable(self) -> None:
        """The next tick sends what is due."""

    def on_half_close(self) -> None:
        """Servers do not."""

    def ended_by(self, how: "StreamEnded") -> None:
        self.ended = str(how)
        self.stop()


class Hearing:
    """A Listener of `streams` over a Series."""

    def __init__(self, series: Series) -> None:
        self.on_message, self.on_writable, self.on_half_close = (
            series.on_message,
            series.on_writable,
            series.on_half_close,
        )
        self.on_end = series.ended_by


class Pusher:
    """The process."""

    def __init__(self, router: str) -> None:
        self._router = router
        self._series: Series | None = None

    async def obey(self) -> None:
        """Read commands until stdin ends."""
        reader = asyncio.StreamReader(limit=1 << 24)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        from runtime.grpc_wire.client import dial

        self._dial = dial
        print("{}", flush=True)  # it is there
        while line := await reader.readline():
            command = json.loads(line)
            await getattr(self, "_do_" + command.pop("do"))(command)
            print(json.dumps(self._told()), flush=True)
        if self._series is not None:
            self._series.stop()

    def _told(self) -> dict[str, Any]:
        series = self._series
        if series is None:
            return {"busy": False}
        return {
            "busy": series.busy,
            "number": series.number,
            "sent": series.sent,
            "late": series.late,
            "ended": series.ended,
            **series.outcomes.told(),
        }

    async def _do_run(self, command: dict[str, Any]) -> None:
        self._series = Series(command)
        self._series.begin(await self._dial(self._router, PATH, Hearing(self._series)))

    async def _do_told(self, _command: dict[str, Any]) -> None:
        """Only the counts."""

    async def _do_dump(self, command: dict[str, Any]) -> None:
        assert self._series is not None
        with open(command["path"], "wb") as file:  # noqa: ASYNC230  a few ms, and nothing is sent meanwhile
            file.write(self._series.outcomes.codes)


def main() -> None:
    """The process."""
    first = first_line()
    pusher = Pusher(first["router"])
    loops.run(pusher.obey())


if __name__ == "__main__":
    main()
