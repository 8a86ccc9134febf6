import pytest

from registry.batches import Batch, Batcher


def test_one_batch_is_in_flight_and_the_rest_gathers() -> None:
    batcher = Batcher()
    batcher.want("a", b"1")
    assert batcher.next_batch() == Batch(1, (("a", b"1"),))
    batcher.want("b", b"2")
    batcher.want("c", None)
    batcher.want("d", b"4")
    assert batcher.next_batch() is None
    assert batcher.open == Batch(1, (("a", b"1"),))
    assert batcher.answered() == (1, ["a"])
    assert batcher.next_batch() == Batch(2, (("b", b"2"), ("d", b"4")))


def test_a_batch_has_at_most_126_operations_in_the_order_wished() -> None:
    batcher = Batcher()
    for i in range(130):
        batcher.want(f"k{i}", b"")
    first = batcher.next_batch()
    assert first is not None
    assert [key for key, _ in first.operations] == [f"k{i}" for i in range(126)]
    batcher.answered()
    second = batcher.next_batch()
    assert second is not None
    assert len(second.operations) == 4


def test_a_connect_and_a_disconnect_before_either_was_sent_cost_nothing() -> None:
    batcher = Batcher()
    batcher.want("a", b"1")
    batcher.want("a", None)
    assert batcher.idle
    assert batcher.next_batch() is None


def test_a_disconnect_while_the_put_flies_is_a_delete_of_the_next_batch() -> None:
    batcher = Batcher()
    batcher.want("a", b"1")
    batcher.next_batch()
    batcher.want("a", None)
    assert batcher.answered() == (1, []), "its last wish is not fulfilled"
    assert batcher.next_batch() == Batch(2, (("a", None),))
    assert batcher.answered() == (2, [])
    assert batcher.committed("a") is None


def test_a_change_of_mind_while_the_put_flies_needs_no_second_put() -> None:
    batcher = Batcher()
    batcher.want("a", b"1")
    batcher.next_batch()
    batcher.want("a", None)
    batcher.want("a", b"1")
    assert batcher.answered() == (1, ["a"])
    assert batcher.next_batch() is None


def test_committed_tells_the_batch_and_only_while_nothing_else_is_wished() -> None:
    batcher = Batcher(number=40)
    batcher.want("a", b"")
    assert batcher.committed("a") is None
    batcher.next_batch()
    assert batcher.committed("a") is None
    batcher.answered()
    assert batcher.committed("a") == 41
    batcher.want("a", None)
    assert batcher.committed("a") is None


def test_an_answer_without_a_question_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        Batcher().answered()
