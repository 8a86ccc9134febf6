"""Rows for the tests of the comparison."""

from bench.compare.rows import Row


def row(mode: str, gateways: int, cpu: float, bus: str = "redis", target: str = "unicast", **changes: object) -> Row:
    """A measured row: all gateways handle a broadcast push, one handles a routed push."""
    handled = float(gateways if mode == "broadcast" else 1)
    values = {
        "mode": mode,
        "bus": bus,
        "gateways": gateways,
        "target": target,
        "pushes": 100,
        "expected": 100,
        "delivered": 100,
        "handled_per_push": handled,
        "amplification": handled,
        "cpu_us_per_delivery": cpu,
        "router_us": cpu / 2,
        "gateway_us": cpu / 2,
        "server_us": {"etcd": 1.0},
        "idle_ms_per_s": 5.0,
        "p50_ms": 0.5,
        "p99_ms": 2.5,
        "bus_bytes_per_push": 0.0,
        "late": 0,
        "valid": True,
    }
    return Row(**(values | changes))


def all_rows() -> list[Row]:
    """Two modes over two buses, 1 to 8 gateways."""
    return [
        row(mode, gateways, 200 + (50 * gateways if mode == "broadcast" else 0), bus)
        for bus in ("redis", "kafka")
        for mode in ("routed", "broadcast")
        for gateways in (1, 2, 4, 8)
    ]
