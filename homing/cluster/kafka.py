"""Kafka for one machine: a single KRaft node of an Apache Kafka that is here, started on loopback."""

from pathlib import Path

from homing.cluster.servers import Started
from homing.cluster.trouble import Trouble


async def start_kafka(run_dir: Path) -> Started:
    """Start a broker. Trouble: there is no Kafka here, or it does not come up."""
    raise Trouble("no Kafka here yet: start one and name it with --kafka HOST:PORT")
