"""The store port's contract, over the in-memory twin and a real etcd."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import count

import pytest

from registry.etcd.client import EtcdSettings
from registry.etcd.store import EtcdStore
from registry.memory import MemoryStore
from registry.store import (
    Changes,
    Compacted,
    CreateRevisionEquals,
    Delete,
    FutureRevision,
    Get,
    LeaseNotFound,
    Put,
    Store,
    StoreRefused,
    ValueEquals,
)

_numbers = count()


@pytest.fixture(params=["memory", "etcd"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        made: Store = MemoryStore()
    else:
        made = EtcdStore(EtcdSettings(endpoints=(request.getfixturevalue("etcd").endpoint,)))
    yield made
    await made.close()


@pytest.fixture
def at() -> str:
    """A prefix that no other test uses."""
    return f"/t{next(_numbers)}/"


async def put(store: Store, key: str, value: bytes = b"v", lease: int = 0) -> int:
    return (await store.transaction([], [Put(key, value, lease)])).revision


async def take(watch: AsyncGenerator[Changes, None], changes: int) -> list[tuple[str, bytes, bool]]:
    """The next changes of a watch as (key, value, deleted), skipping progress."""
    got: list[tuple[str, bytes, bool]] = []
    async with asyncio.timeout(5):
        while len(got) < changes:
            got += [(c.entry.key, c.entry.value, c.deleted) for c in (await anext(watch)).changes]
    return got


async def test_an_absent_key_is_none(store: Store, at: str) -> None:
    assert await store.get(at + "a") is None


async def test_a_put_is_read_back_with_its_revisions(store: Store, at: str) -> None:
    first = await put(store, at + "a", b"1")
    second = await put(store, at + "a", b"2")
    entry = await store.get(at + "a")
    assert entry is not None
    assert (entry.value, entry.create_revision, entry.mod_revision, entry.lease) == (b"2", first, second, 0)
    assert second > first


async def test_a_key_created_again_has_a_newer_create_revision(store: Store, at: str) -> None:
    first = await put(store, at + "a")
    await store.transaction([], [Delete(at + "a")])
    second = await put(store, at + "a")
    entry = await store.get(at + "a")
    assert entry is not None
    assert entry.create_revision == second > first


async def test_a_prefix_read_is_sorted_and_sees_only_the_prefix(store: Store, at: str) -> None:
    await store.transaction([], [Put(at + "b", b"2"), Put(at + "a", b"1"), Put(at[:-1] + "0", b"no")])
    reading = await store.get_prefix(at)
    assert [(e.key, e.value) for e in reading.entries] == [(at + "a", b"1"), (at + "b", b"2")]
    assert reading.revision >= reading.entries[0].mod_revision
    bare = await store.get_prefix(at, keys_only=True)
    assert [(e.key, e.value) for e in bare.entries] == [(at + "a", b""), (at + "b", b"")]
    assert bare.entries[0].create_revision == reading.entries[0].create_revision


async def test_a_prefix_read_shows_it_as_it_was_at_a_revision(store: Store, at: str) -> None:
    await store.transaction([], [Put(at + "a", b"1"), Put(at + "b", b"1")])
    then = await put(store, at + "a", b"2")
    await store.transaction([], [Put(at + "a", b"3"), Delete(at + "b"), Put(at + "c", b"1")])
    await put(store, at + "a", b"4")
    reading = await store.get_prefix(at, revision=then)
    assert (reading.revision, [(e.key, e.value) for e in reading.entries]) == (
        then,
        [(at + "a", b"2"), (at + "b", b"1")],
    )
    assert reading.entries[0].mod_revision == then


async def test_a_prefix_read_at_a_revision_to_come_or_that_is_compacted_is_refused(
    store: MemoryStore | EtcdStore, at: str
) -> None:
    first = await put(store, at + "a")
    now = await put(store, at + "a")
    with pytest.raises(FutureRevision):
        await store.get_prefix(at, revision=now + 1)
    compacted = store.compact(now)
    if compacted is not None:
        await compacted
    with pytest.raises(Compacted):
        await store.get_prefix(at, revision=first)
    assert (await store.get_prefix(at, revision=now)).revision == now


async def test_a_watch_says_when_it_is_open_before_it_shows_anything(store: Store, at: str) -> None:
    start, seen = await put(store, at + "a"), []

    async def on_open() -> None:
        seen.append("open")

    async with aclosing(store.watch_prefix(at, start, on_open)) as watch:
        seen.append((await anext(watch)).revision)
    assert seen == ["open", start]


async def test_what_the_opening_raises_ends_the_watch(store: Store, at: str) -> None:
    async def on_open() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        async with aclosing(store.watch_prefix(at, await put(store, at + "a"), on_open)) as watch:
            await anext(watch)


async def test_a_prefix_read_of_more_than_a_page_is_complete(store: Store, at: str) -> None:
    for first in range(0, 5_100, 100):
        await store.transaction([], [Put(f"{at}{i:05}", b"") for i in range(first, first + 100)])
    reading = await store.get_prefix(at)
    assert [e.key for e in reading.entries] == [f"{at}{i:05}" for i in range(5_100)]


async def test_the_revision_covers_what_was_committed_before(store: Store, at: str) -> None:
    written = await put(store, at + "a")
    assert await store.revision() >= written


async def test_a_transaction_runs_one_branch_atomically(store: Store, at: str) -> None:
    created = await put(store, at + "a", b"1")
    both = [CreateRevisionEquals(at + "a", created), ValueEquals(at + "a", b"1")]
    yes = await store.transaction(both, [Put(at + "b", b"yes"), Get(at + "a")], [Put(at + "b", b"no")])
    assert yes.succeeded
    assert [e.value for e in yes.reads[0]] == [b"1"]
    no = await store.transaction(
        [CreateRevisionEquals(at + "a", created), ValueEquals(at + "a", b"2")],
        [Put(at + "b", b"again")],
        [Get(at + "b"), Get(at + "c")],
    )
    assert not no.succeeded
    assert [[e.value for e in one] for one in no.reads] == [[b"yes"], []]


async def test_create_revision_zero_means_absent(store: Store, at: str) -> None:
    assert (await store.transaction([CreateRevisionEquals(at + "a", 0)], [Put(at + "a", b"1")])).succeeded
    assert not (await store.transaction([CreateRevisionEquals(at + "a", 0)], [Put(at + "a", b"2")])).succeeded


async def test_an_absent_key_has_no_value_not_even_an_empty_one(store: Store, at: str) -> None:
    assert not (await store.transaction([ValueEquals(at + "a", b"")], [])).succeeded


async def test_all_writes_of_a_transaction_share_its_revision(store: Store, at: str) -> None:
    outcome = await store.transaction([], [Put(at + "a", b""), Put(at + "b", b"")])
    reading = await store.get_prefix(at)
    assert {e.create_revision for e in reading.entries} == {outcome.revision}


async def test_a_transaction_that_changes_nothing_keeps_the_revision(store: Store, at: str) -> None:
    before = await put(store, at + "a")
    await store.transaction([], [Delete(at + "absent"), Get(at + "a")])
    assert await store.revision() == before


async def test_a_transaction_reads_what_it_has_written(store: Store, at: str) -> None:
    outcome = await store.transaction([], [Put(at + "a", b"new"), Get(at + "a")])
    assert [e.value for e in outcome.reads[0]] == [b"new"]


async def test_128_operations_are_allowed_and_129_refused(store: Store, at: str) -> None:
    assert (await store.transaction([], [Put(f"{at}{i}", b"") for i in range(128)])).succeeded
    with pytest.raises(StoreRefused):
        await store.transaction([], [Put(f"{at}{i}", b"") for i in range(129)])


async def test_a_key_twice_in_a_transaction_is_refused(store: Store, at: str) -> None:
    with pytest.raises(StoreRefused):
        await store.transaction([], [Put(at + "a", b"1"), Put(at + "a", b"2")])


async def test_a_revoked_lease_takes_its_keys_at_one_revision(store: Store, at: str) -> None:
    lease = await store.grant(10)
    await put(store, at + "a", lease=lease)
    after = await put(store, at + "b", lease=lease)
    entry = await store.get(at + "a")
    assert entry is not None
    assert entry.lease == lease
    async with aclosing(store.watch_prefix(at, after + 1)) as watch:
        await store.revoke(lease)
        assert sorted(await take(watch, 2)) == [(at + "a", b"", True), (at + "b", b"", True)]
    assert await store.revision() == after + 1
    await store.revoke(lease)  # an unknown lease is no error


async def test_a_lease_lasts_while_it_is_kept_alive_and_expires_after(store: Store, at: str) -> None:
    lease = await store.grant(1)
    written = await put(store, at + "a", lease=lease)
    for _ in range(4):
        await asyncio.sleep(0.4)
        await store.keep_alive(lease)
    assert await store.get(at + "a") is not None
    async with aclosing(store.watch_prefix(at, written + 1)) as watch:
        assert await take(watch, 1) == [(at + "a", b"", True)]
    with pytest.raises(LeaseNotFound):
        await store.keep_alive(lease)
    with pytest.raises(LeaseNotFound):
        await put(store, at + "b", lease=lease)
    assert await store.get(at + "b") is None


async def test_one_keepalive_stream_serves_several_leases(store: Store) -> None:
    leases = [await store.grant(5) for _ in range(3)]
    await asyncio.gather(*(store.keep_alive(lease) for lease in leases * 5))
    await store.revoke(leases[1])
    with pytest.raises(LeaseNotFound):
        await store.keep_alive(leases[1])
    await store.keep_alive(leases[2])


async def test_a_put_without_the_lease_takes_the_key_out_of_it(store: Store, at: str) -> None:
    lease = await store.grant(10)
    await put(store, at + "a", b"1", lease)
    await put(store, at + "a", b"2")
    await store.revoke(lease)
    entry = await store.get(at + "a")
    assert entry is not None
    assert entry.value == b"2"


async def test_a_watch_yields_history_then_new_changes_each_once_in_order(store: Store, at: str) -> None:
    first = await put(store, at + "a", b"1")
    await store.transaction([], [Put(at + "b", b"2"), Put(at[:-1] + "0", b"elsewhere")])
    async with aclosing(store.watch_prefix(at, first)) as watch:
        assert await take(watch, 2) == [(at + "a", b"1", False), (at + "b", b"2", False)]
        await store.transaction([], [Delete(at + "a"), Put(at + "c", b"3")])
        assert sorted(await take(watch, 2)) == [(at + "a", b"", True), (at + "c", b"3", False)]


async def test_a_transaction_is_never_split_by_a_watch(store: Store, at: str) -> None:
    start = await store.revision() + 1
    # More than one message's worth, so that etcd sends fragments.
    for round_ in range(3):
        await store.transaction([], [Put(f"{at}{i}", bytes([round_]) * 10_000) for i in range(120)])
    async with aclosing(store.watch_prefix(at, start)) as watch:
        seen = 0
        async with asyncio.timeout(5):
            while seen < 360:
                changes = (await anext(watch)).changes
                assert len(changes) % 120 == 0
                seen += len(changes)


async def test_a_watch_from_the_future_waits_for_it(store: Store, at: str) -> None:
    now = await put(store, at + "a", b"old")
    async with aclosing(store.watch_prefix(at, now + 2)) as watch:
        waiting = asyncio.ensure_future(take(watch, 1))
        await put(store, at + "b", b"skipped")
        await put(store, at + "c", b"seen")
        assert await waiting == [(at + "c", b"seen", False)]


async def test_a_watch_of_compacted_history_is_an_error(store: MemoryStore | EtcdStore, at: str) -> None:
    first = await put(store, at + "a", b"1")
    last = await put(store, at + "a", b"2")
    compacted = store.compact(last)
    if compacted is not None:
        await compacted
    async with aclosing(store.watch_prefix(at, first)) as watch:
        with pytest.raises(Compacted) as caught:
            await asyncio.wait_for(anext(watch), 5)
    assert caught.value.revision == last
    async with aclosing(store.watch_prefix(at, last)) as watch:
        assert await take(watch, 1) == [(at + "a", b"2", False)]


async def test_two_watches_do_not_disturb_each_other(store: Store, at: str) -> None:
    start = await store.revision() + 1
    async with aclosing(store.watch_prefix(at, start)) as one, aclosing(store.watch_prefix(at + "x", start)) as other:
        await put(store, at + "a", b"1")
        await put(store, at + "x", b"2")
        assert await take(one, 2) == [(at + "a", b"1", False), (at + "x", b"2", False)]
        assert await take(other, 1) == [(at + "x", b"2", False)]
