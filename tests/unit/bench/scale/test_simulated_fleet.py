"""The simulated fleet: what must be true of its counts, whatever the rates are."""

import pytest

from bench.scale.fleet_load import EtcdCosts, FleetSize, SteadyLoad, StormLoad
from bench.scale.modelled_etcd import ModelledEtcd, ModelledStore, transaction_bytes, watch_bytes
from bench.scale.simulated_fleet import simulate
from registry.memory import MemoryStore
from registry.store import Change, CreateRevisionEquals, Delete, Entry, Get, Put, ValueEquals
from tests.simulation.loop import ProcessLoop, Scheduler

FAST = EtcdCosts(read=0.0005, transaction=0.001, key=0.00001, serial_transaction=0.0001, serial_key=0.00001)


def size(nodes=2, routers=2, idle=100, sessions=50, file_members=0):
    return FleetSize(nodes, routers, idle, sessions, file_members)


def test_each_connect_and_each_disconnect_is_a_key():
    [costs] = simulate(size(), [SteadyLoad(20, 10, 10)], FAST)
    assert costs["keys_put"] - costs["batches"] == 200
    assert costs["keys_deleted"] == 100
    assert costs["seconds"] == pytest.approx(10, abs=0.005)


def test_each_router_receives_each_change_once():
    [one] = simulate(size(routers=1), [SteadyLoad(20, 20, 10)], FAST)
    [three] = simulate(size(routers=3), [SteadyLoad(20, 20, 10)], FAST)
    assert one["watch_events"] == one["keys_put"] + one["keys_deleted"]
    assert one["watch_messages"] == one["revisions"]
    assert three["watch_events"] == 3 * one["watch_events"]
    assert three["streams"] == 6


def test_batches_grow_with_the_rate_and_with_etcds_latency():
    def keys_per_batch(rate, latency):
        etcd = EtcdCosts(0.0005, latency, 0.0, 0.0001, 0.0)
        [costs] = simulate(size(nodes=1, routers=1), [SteadyLoad(rate, 0, 5)], etcd)
        return rate * 5 / costs["batches"]

    assert keys_per_batch(50, 0.001) == pytest.approx(1)
    assert keys_per_batch(500, 0.001) > 4
    assert keys_per_batch(500, 0.1) == pytest.approx(50, rel=0.15)  # one transaction in flight: what 100 ms gather


def test_a_storm_deletes_and_puts_each_key_once():
    [costs] = simulate(size(nodes=4, idle=200), [StormLoad(200, 100, 4)], FAST)
    assert costs["keys_deleted"] == 200
    assert costs["keys_put"] - costs["batches"] == 200


def test_a_file_has_a_key_for_each_gateway_with_members():
    [costs] = simulate(size(nodes=4, idle=200, file_members=20), [StormLoad(200, 100, 4)], FAST)
    assert costs["keys_deleted"] == 200 + 10 * 4
    assert costs["keys_put"] - costs["batches"] == 200 + 10 * 4


def test_an_idle_fleet_costs_keepalives_and_guard_reads_alone():
    [costs] = simulate(size(nodes=3), [SteadyLoad(0.1, 0, 10)], FAST)
    assert costs["transactions"] == costs["batches"] == 1
    assert costs["keepalives"] == pytest.approx(3 * 3 + 3, abs=1.5)  # each 10 / 3 s, and the sweeper's
    assert costs["reads"] == pytest.approx(2 * 2 * 10 + 3 * 2 * 3, abs=6)  # guards and layout; node key and guard


def test_a_run_repeats():
    assert simulate(size(), [SteadyLoad(20, 20, 5)], FAST) == simulate(size(), [SteadyLoad(20, 20, 5)], FAST)


def test_an_etcd_that_is_too_slow_admits_clients_unregistered():
    slow = EtcdCosts(0.0005, 0.001, 0.0, serial_transaction=0.2, serial_key=0.0)
    [costs] = simulate(size(nodes=40, routers=1, idle=0, sessions=0), [SteadyLoad(300, 0, 10)], slow)
    assert costs["wait_p99_ms"] >= 3000
    assert costs["unregistered"] > 0


def test_calls_wait_for_each_other():
    scheduler = Scheduler()
    loop = ProcessLoop(scheduler, "test")
    etcd = ModelledEtcd(MemoryStore(loop.time), EtcdCosts(0.001, 0.002, 0.0, serial_transaction=0.01, serial_key=0.001))
    ends = []

    async def write(number):
        await ModelledStore(etcd).transaction([], [Put(f"key-{number}", b"")])
        ends.append(round(loop.time(), 6))

    for number in range(3):
        loop.create_task(write(number))
    scheduler.run_until(1.0)
    assert ends == [0.011, 0.022, 0.033]
    assert scheduler.errors == []


def test_bytes_are_those_of_etcds_messages():
    compare = [CreateRevisionEquals("node", 5), ValueEquals("guard", b"7")]
    small = transaction_bytes(compare, [Put("k" * 100, b"v" * 50)], [Get("guard")])
    large = transaction_bytes(compare, [Put("k" * 100, b"v" * 50), Delete("d" * 100)], [Get("guard")])
    assert 150 < small < 220
    assert 100 < large - small < 112
    put, delete = Entry("k" * 100, b"v" * 50, 5, 5), Entry("k" * 100, b"", 0, 6)
    assert watch_bytes([Change(put, False)]) - watch_bytes([Change(delete, True)]) == pytest.approx(52, abs=4)


def test_clients_come_back_to_all_gateways_in_turn():
    """In the order in which connects end, neighbours are of one gateway: its batches would be large."""
    load = StormLoad(400, 100, 5)
    [costs] = simulate(size(nodes=4, idle=400, sessions=0), [load], FAST)
    assert costs["batches"] > 250  # 25 connects a second and gateway: nearly a batch for each
