"""How a fleet is cut, and what is over its limit."""

import pytest

from bench.scale.plan import Cut, breaks, cut, figures, plan, with_routers

COSTS = {
    "seconds": 2.0,
    "transactions": 20.0,
    "batches": 20.0,
    "keys_put": 50.0,
    "keys_deleted": 10.0,
    "watch_messages": 20.0,
    "watch_events": 60.0,
    "watch_bytes": 6000.0,
    "streams": 3.0,
    "bytes_received": 4000.0,
    "bytes_sent": 8000.0,
    "wait_p50_ms": 9.0,
    "wait_p99_ms": 30.0,
}


def test_a_fleet_is_cut_evenly():
    assert cut(10_000_000, 4) == Cut(clusters=4, connections=2_500_000, gateways=63, routers=3)
    assert cut(90_000, 4).routers == 2
    assert cut(1_800_000, 1).changes_per_s == 1000
    assert cut(1_800_000, 1).storm_per_s == 3000


def test_each_router_has_a_watch_and_streams_of_its_own():
    three = with_routers(COSTS, 3)
    assert (three["watch_messages"], three["watch_events"], three["streams"]) == (60, 180, 9)
    assert three["bytes_sent"] == 8000 + 2 * 6000
    assert three["transactions"] == 20


def test_the_figures_of_a_cut():
    row = figures(Cut(4, 2_500_000, 63, 3), COSTS, COSTS)
    assert (row["router_gb"], row["etcd_gb"], row["streams"]) == (1.14, 2.28, 189)
    steady = row["steady"]
    assert (steady["keys_per_s"], steady["transactions_per_s"], steady["keys_per_batch"]) == (20, 10, 2.0)
    assert steady["events_per_s_and_router"] == 30


def test_what_is_over_its_limit_is_named_worst_first():
    row = figures(Cut(1, 10_000_000, 250, 10), COSTS, COSTS)
    row["storm"] |= {"router_cores": 2.5, "wait_p99_ms": 100.0}
    assert breaks(row) == ["a router's core in a storm (250%)", "etcd's size (114%)"]
    assert breaks(figures(Cut(4, 2_500_000, 63, 3), COSTS, COSTS)) == []


def test_a_small_fleet_is_simulated():
    row = plan(90_000, 1)
    assert row["steady"]["keys_per_s"] == pytest.approx(100, rel=0.2)
    assert row["storm"]["keys_per_s"] == pytest.approx(250, rel=0.2)
    assert row["breaks"] == []
