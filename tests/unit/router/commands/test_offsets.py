"""How far a partition is carried out, when its records end in any order."""

from hypothesis import given
from hypothesis import strategies as st

from router.commands.offsets import PartitionOffsets


def test_nothing_read_is_nothing_to_commit():
    assert PartitionOffsets().to_commit is None


def test_the_first_that_is_under_way_holds_the_offset():
    progress = PartitionOffsets()
    for offset in (7, 8, 9):
        progress.begin(offset)
    progress.end(8)
    progress.end(9)
    assert progress.to_commit == 7
    progress.committed(7)
    assert progress.to_commit is None
    progress.end(7)
    assert progress.to_commit == 10


def test_gaps_between_offsets_are_no_records():
    """Transactions and compaction leave them."""
    progress = PartitionOffsets()
    progress.begin(3)
    progress.begin(11)
    progress.end(3)
    assert progress.to_commit == 11


@given(st.permutations(range(12)))
def test_whatever_the_order_what_is_committed_has_ended(order):
    progress = PartitionOffsets()
    for offset in range(12):
        progress.begin(offset)
    ended = set()
    for offset in order:
        progress.end(offset)
        ended.add(offset)
        assert progress.reached == next((n for n in range(12) if n not in ended), 12)
