"""Slow uploads share one budget; the oldest goes on, the newer ones wait."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.unfinished import UnfinishedMessages


class Upload:
    def __init__(self) -> None:
        self.held = False

    def hold_upload(self) -> None:
        assert not self.held
        self.held = True

    def continue_upload(self) -> None:
        assert self.held
        self.held = False


def test_the_newest_waits_until_there_is_room() -> None:
    budget, old, new, newest = UnfinishedMessages(100), Upload(), Upload(), Upload()
    budget.update(old, 60)
    budget.update(new, 50)
    budget.update(newest, 1)
    assert (old.held, new.held, newest.held) == (False, True, True)
    budget.update(old, 90)  # the oldest goes on whatever is full
    assert not old.held
    budget.update(old, 0)
    assert (new.held, newest.held, budget.total) == (False, False, 51)


def test_one_alone_may_be_larger_than_the_budget() -> None:
    budget, alone = UnfinishedMessages(10), Upload()
    budget.update(alone, 1_000)
    assert not alone.held
    budget.update(alone, 0)
    assert budget.total == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), max_size=60))
def test_somebody_can_always_go_on_and_nothing_is_left(steps: list[tuple[int, int]]) -> None:
    budget, uploads = UnfinishedMessages(100), [Upload() for _ in range(5)]
    sizes = dict.fromkeys(range(5), 0)
    for number, size in steps:
        if not uploads[number].held or size == 0:
            budget.update(uploads[number], size)
            sizes[number] = size
            uploads[number].held &= size > 0  # one that is held and ends is gone
        assert budget.total == sum(sizes.values())
        unfinished = [upload for key, upload in enumerate(uploads) if sizes[key]]
        assert not unfinished or not all(upload.held for upload in unfinished)
    for upload in uploads:
        budget.update(upload, 0)
    assert budget.total == 0
    assert not budget._held


def test_one_that_is_held_is_told_so_once_and_what_of_it_still_arrives_counts() -> None:
    budget, old, new = UnfinishedMessages(100), Upload(), Upload()
    budget.update(old, 90)
    budget.update(new, 20)
    budget.update(new, 30)  # what the kernel had already given; `Upload` fails when it is held twice
    assert (old.held, new.held, budget.total) == (False, True, 120)
    budget.update(old, 0)
    assert (new.held, budget.total) == (False, 30)
