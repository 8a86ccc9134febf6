"""Shell: checks now and then whether the buses answer, for `/readyz`: an idle service would notice nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from runtime.bus.port import BusUnavailable
from runtime.bus.settings import BusSection

INTERVAL = 5.0  # seconds between two checks

Check = Callable[[], Awaitable[None]]
"""One check. Raises BusUnavailable."""


class BusProbe:
    """Knows why the buses of this process do not answer. `run` must run beside it."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = checks
        self._reasons: list[str] = [""] * len(checks)

    def why_away(self) -> list[str]:
        """Why which buses do not answer, in words that name them and the remedy; empty while all do."""
        return [reason for reason in self._reasons if reason]

    async def run(self) -> None:
        """Check, for ever."""
        while True:
            await self.check_all()
            await asyncio.sleep(INTERVAL)

    async def check_all(self) -> None:
        """Check every bus once."""
        self._reasons[:] = await asyncio.gather(*map(_why, self._checks))


async def _why(check: Check) -> str:
    try:
        await check()
    except BusUnavailable as error:
        return str(error)
    return ""


def checks(bus: BusSection, redis: bool, kafka: bool) -> list[Check]:
    """The checks of the buses that a service uses."""
    chosen: list[Check] = []
    if redis:
        from runtime.bus import redis_client  # routers need redis-py in one mode only

        chosen.append(lambda: redis_client.check(bus))
    if kafka:
        from runtime.bus import kafka_client  # with aiokafka, which costs 20 MiB

        chosen.append(lambda: kafka_client.check(bus))
    return chosen
