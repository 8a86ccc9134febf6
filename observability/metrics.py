"""Shell: a service's counters and gauges in Prometheus' text format. Only a scrape pays for names and types."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from observability.counters import Counters
from observability.names import Counter


class Exposition(Collector):
    """The metrics of one service."""

    def __init__(
        self, prefix: str, names: Sequence[Counter], values: Counters, gauges: Mapping[str, Callable[[], float]]
    ) -> None:
        """`prefix`: of every metric's name. `gauges`: by name; each is read at a scrape."""
        self._prefix = prefix
        self._names = names
        self._values = values
        self._gauges = gauges
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        for name, text in self._names:
            yield CounterMetricFamily(f"{self._prefix}_{name}", text, value=getattr(self._values, name))
        for name, read in self._gauges.items():
            yield GaugeMetricFamily(f"{self._prefix}_{name}", name.replace("_", " "), value=read())

    async def scrape(self) -> bytes:
        """The response to a scrape."""
        return generate_latest(self._registry)
