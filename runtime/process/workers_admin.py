"""Shell: the administration of several workers as one: ready when all are, their metrics in one page.

Each worker has an admin listener of its own, on an address that outlives the worker.
"""

import asyncio
from collections.abc import Collection, Iterator, Sequence

import aiohttp
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from runtime.process.admin import AdminListener
from runtime.process.readiness import Readiness

TIMEOUT = aiohttp.ClientTimeout(total=3.0)  # seconds for a worker's answer; while etcd is away one takes up to 2.5


class WorkersAdmin:
    """`/livez`, `/readyz` and `/metrics` of all workers."""

    def __init__(self, addresses: Sequence[str], hosts: Collection[str] = ()) -> None:
        """`addresses`: of the workers' own admin listeners. `hosts`: names by which this one is reached."""
        self._addresses = addresses
        self._listener = AdminListener(self._check, self._scrape, hosts)

    async def listen(self, host: str, port: int) -> str:
        """Open the port. The result is host:port. Raises OSError when the port is in use."""
        return await self._listener.listen(host, port)

    async def close(self) -> None:
        await self._listener.close()

    async def _check(self) -> Readiness:
        missing: list[str] = []
        degraded: list[str] = []
        for number, answer in enumerate(await self._get_all("/readyz")):
            if answer is None:
                missing.append(f"worker {number} does not answer")
                continue
            found = await answer.json(content_type=None)
            missing += [f"worker {number}: {found['why']}"] if not found["ready"] else []
            degraded += [f"worker {number}: {one}" for one in found["degraded"]]
        return Readiness(missing, degraded)

    async def _scrape(self) -> bytes:
        texts = [await answer.text() if answer else "" for answer in await self._get_all("/metrics")]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Merged(texts))
        return generate_latest(registry)

    async def _get_all(self, path: str) -> list[aiohttp.ClientResponse | None]:
        async with aiohttp.ClientSession(timeout=TIMEOUT) as http:
            return await asyncio.gather(*(_get(http, f"http://{address}{path}") for address in self._addresses))


async def _get(http: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse | None:
    """The answer with its body; None: there is none in time."""
    try:
        async with http.get(url) as answer:
            await answer.read()
            return answer
    except (aiohttp.ClientError, TimeoutError):
        return None


class _Merged(Collector):
    """The metrics of several workers, each sample with the label `worker`."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        merged: dict[str, Metric] = {}
        for number, text in enumerate(self._texts):
            for family in text_string_to_metric_families(text):
                metric = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    labels = {**sample.labels, "worker": str(number)}
                    metric.add_sample(sample.name, labels, sample.value)
        yield from merged.values()
