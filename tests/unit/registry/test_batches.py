import pytest

from registry.batches import Batch, RegistrationBatcher


def test_one_batch_is_in_flight_and_the_rest_gathers() -> None:
    batcher = RegistrationBatcher()
    batcher.set("a", b"1")
    assert batcher.next_batch() == Batch(1, (("a", b"1"),))
    batcher.set("b", b"2")
    batcher.set("c", None)
    batcher.set("d", b"4")
    assert batcher.next_batch() is None
    assert batcher.in_flight == Batch(1, (("a", b"1"),))
    assert batcher.acknowledge() == (1, ["a"])
    assert batcher.next_batch() == Batch(2, (("b", b"2"), ("d", b"4")))


def test_a_batch_has_at_most_126_operations_in_the_order_of_the_requests() -> None:
    batcher = RegistrationBatcher()
    for i in range(130):
        batcher.set(f"k{i}", b"")
    first = batcher.next_batch()
    assert first is not None
    assert [key for key, _ in first.operations] == [f"k{i}" for i in range(126)]
    batcher.acknowledge()
    second = batcher.next_batch()
    assert second is not None
    assert len(second.operations) == 4


def test_a_connect_and_a_disconnect_before_either_was_sent_cost_nothing() -> None:
    batcher = RegistrationBatcher()
    batcher.set("a", b"1")
    batcher.set("a", None)
    assert batcher.idle
    assert batcher.next_batch() is None


def test_a_delete_while_the_put_is_in_flight_goes_into_the_next_batch() -> None:
    batcher = RegistrationBatcher()
    batcher.set("a", b"1")
    batcher.next_batch()
    batcher.set("a", None)
    assert batcher.acknowledge() == (1, []), "the last request is another one"
    assert batcher.next_batch() == Batch(2, (("a", None),))
    assert batcher.acknowledge() == (2, [])
    assert batcher.committed_batch("a") is None


def test_a_delete_and_the_same_put_again_while_the_put_is_in_flight_cost_nothing() -> None:
    batcher = RegistrationBatcher()
    batcher.set("a", b"1")
    batcher.next_batch()
    batcher.set("a", None)
    batcher.set("a", b"1")
    assert batcher.acknowledge() == (1, ["a"])
    assert batcher.next_batch() is None


def test_the_committed_batch_is_known_only_while_no_change_is_in_flight_or_desired() -> None:
    batcher = RegistrationBatcher(last_committed=40)
    batcher.set("a", b"")
    assert batcher.committed_batch("a") is None
    batcher.next_batch()
    assert batcher.committed_batch("a") is None
    batcher.acknowledge()
    assert batcher.committed_batch("a") == 41
    batcher.set("a", None)
    assert batcher.committed_batch("a") is None


def test_to_acknowledge_nothing_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        RegistrationBatcher().acknowledge()
