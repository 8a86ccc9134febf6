"""The endpoints of a scenario's clients: gateways in turn, or a baseline server."""

from urllib.parse import urlsplit

from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.load.clients import Endpoint, handshake_request

PAYLOAD_BYTES = 200


def gateway_endpoints(cluster: BenchCluster, file: str = "", user: str = "") -> Endpoint:
    """The cluster's gateways in turn. `user`: one user for all clients, instead of a user each."""

    def endpoint(index: int) -> tuple[str, int, bytes]:
        url = cluster.urls[index % len(cluster.urls)]
        parts = urlsplit(url)
        name = user or f"user-{index}"
        request = handshake_request(url, cluster.token(name, *([file] if file else [])), file)
        return parts.hostname or "", parts.port or 0, request

    return endpoint


def baseline_endpoint(port: int) -> Endpoint:
    """A baseline server on this port."""
    request = handshake_request(f"ws://127.0.0.1:{port}/ws", "")
    return lambda _index: ("127.0.0.1", port, request)
