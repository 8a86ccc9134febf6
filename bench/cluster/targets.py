"""Where a scenario's clients go, and what their messages say."""

from collections.abc import Callable
from urllib.parse import urlsplit

from bench.cluster.load.clients import handshake
from bench.cluster.rig import Cluster

PAYLOAD = 200  # bytes
Where = Callable[[int], tuple[str, int, bytes]]


def spread(cluster: Cluster, file: str = "", user: str = "") -> Where:
    def where(index: int) -> tuple[str, int, bytes]:
        url = cluster.urls[index % len(cluster.urls)]
        parts = urlsplit(url)
        name = user or f"user-{index}"
        head = handshake(url, cluster.token(name, *([file] if file else [])), file)
        return parts.hostname or "", parts.port or 0, head

    return where


def bare_at(port: int) -> Where:
    head = handshake(f"ws://127.0.0.1:{port}/ws", "")
    return lambda _index: ("127.0.0.1", port, head)
