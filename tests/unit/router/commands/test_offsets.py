"""The offset to commit of a partition whose records finish in any order."""

from hypothesis import given
from hypothesis import strategies as st

from router.commands.offsets import PartitionOffsets


def test_nothing_read_is_nothing_to_commit():
    assert PartitionOffsets().to_commit is None


def test_the_first_record_in_flight_holds_the_offset():
    offsets = PartitionOffsets()
    for offset in (7, 8, 9):
        offsets.begin(offset)
    offsets.finish(8)
    offsets.finish(9)
    assert offsets.to_commit == 7
    offsets.on_committed(7)
    assert offsets.to_commit is None
    offsets.finish(7)
    assert offsets.to_commit == 10


def test_gaps_between_offsets_are_no_records():
    """Transactions and compaction leave them."""
    offsets = PartitionOffsets()
    offsets.begin(3)
    offsets.begin(11)
    offsets.finish(3)
    assert offsets.to_commit == 11


@given(st.permutations(range(12)))
def test_in_any_order_what_is_committed_is_finished(order):
    offsets = PartitionOffsets()
    for offset in range(12):
        offsets.begin(offset)
    finished = set()
    for offset in order:
        offsets.finish(offset)
        finished.add(offset)
        assert offsets.finished_to == next((n for n in range(12) if n not in finished), 12)
