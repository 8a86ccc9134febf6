"""Tables that are cut into parts of different sizes, so that they grow one after the other."""

import math
from collections import Counter

from registry.route_maps import PART_SLOTS, PARTS, SHARDS, SLOTS, _slots


def test_each_table_has_slots_and_the_last_twice_as_many_as_the_first():
    for tables, slots in ((SHARDS, SLOTS), (PARTS, PART_SLOTS)):
        sizes = list(Counter(_slots(tables, slots)).values())
        assert len(sizes) == tables
        assert sum(sizes) == slots
        assert 1.7 < sizes[-1] / sizes[0] < 2.1


def test_while_the_keys_double_few_tables_grow_at_one_moment():
    """A table grows when its share of the keys reaches a power of two: so when the keys have grown by 1 / its size."""
    sizes = Counter(_slots(SHARDS, SLOTS)).values()
    moments = Counter(int(50 * (math.log2(size) % 1)) for size in sizes)  # fiftieths of a doubling
    assert max(moments.values()) <= 4
