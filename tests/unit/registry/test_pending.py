import asyncio

from registry.batches import Batch
from registry.pending import PendingWrites


class Recorder:
    """A store's end of the batches: keeps them, answers when told."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.answer = asyncio.Event()
        self.answer.set()

    async def send(self, batch: Batch) -> None:
        self.batches.append(batch)
        await self.answer.wait()


def pending() -> PendingWrites:
    return PendingWrites(iter(range(0, 10**6, 10)).__next__)  # a clock that never makes a batch wait for the next


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_put_resolves_with_the_number_of_its_batch() -> None:
    wishes, store = pending(), Recorder()
    first = wishes.put("a", b"1")
    await wishes.flush(store.send)
    second = wishes.put("b", b"2")
    await wishes.flush(store.send)
    assert (first.result(), second.result(), wishes.number) == (1, 2, 2)


async def test_what_comes_while_a_batch_flies_gathers_and_each_waiter_has_a_future_of_its_own() -> None:
    wishes, store = pending(), Recorder()
    store.answer.clear()
    first = wishes.put("a", b"")
    flushing = asyncio.ensure_future(wishes.flush(store.send))
    await settle()
    joins = [wishes.put("f", b"") for _ in range(3)]
    joins[0].cancel()
    store.answer.set()
    await flushing
    assert first.result() == 1
    assert [join.cancelled() or join.result() for join in joins] == [True, 2, 2]
    assert [len(batch.operations) for batch in store.batches] == [1, 1]


async def test_two_who_flush_never_have_two_batches_under_way() -> None:
    wishes, store = pending(), Recorder()
    store.answer.clear()
    wishes.put("a", b"")
    flushing = [asyncio.ensure_future(wishes.flush(store.send)) for _ in range(2)]
    await settle()
    wishes.put("b", b"")
    await settle()
    assert len(store.batches) == 1
    store.answer.set()
    await asyncio.gather(*flushing)
    assert [batch.number for batch in store.batches] == [1, 2]


async def test_an_interrupted_batch_is_sent_again_unchanged() -> None:
    wishes, store = pending(), Recorder()
    store.answer.clear()
    wishes.put("a", b"1")
    flushing = asyncio.ensure_future(wishes.flush(store.send))
    await settle()
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    wishes.put("b", b"2")
    store.answer.set()
    await wishes.flush(store.send)
    assert store.batches[0] == store.batches[1]
    assert store.batches[2] == Batch(2, (("b", b"2"),))


async def test_a_removal_cancels_who_waits_and_may_cost_nothing() -> None:
    wishes, store = pending(), Recorder()
    future = wishes.put("a", b"1")
    wishes.remove("a")
    await wishes.flush(store.send)
    assert future.cancelled()
    assert store.batches == []
    assert wishes.waits_since() is None


async def test_put_once_is_done_at_once_when_committed() -> None:
    wishes, store = pending(), Recorder()
    assert not wishes.put_once("f", b"").done()
    await wishes.flush(store.send)
    again = wishes.put_once("f", b"")
    assert again.done()
    assert again.result() == 1
    wishes.remove("f")
    assert not wishes.put_once("f", b"").done()


async def test_the_longest_wait_is_known() -> None:
    now = 5.0
    wishes = PendingWrites(lambda: now)
    assert wishes.waits_since() is None
    wishes.put("a", b"")
    now = 6.0
    wishes.put("b", b"")
    wishes.put("a", b"")
    assert wishes.waits_since() == 5.0
    wishes.remove("a")
    assert wishes.waits_since() == 6.0


async def test_after_close_nothing_is_wished_for() -> None:
    wishes = pending()
    before = wishes.put("a", b"")
    wishes.close()
    after = wishes.put("b", b"")
    wishes.remove("c")
    assert before.cancelled()
    assert after.cancelled()
    assert wishes.put_once("a", b"").cancelled()
    assert wishes.waits_since() is None


async def test_commit_sends_whatever_comes_until_it_is_cancelled() -> None:
    wishes, store = pending(), Recorder()
    committing = asyncio.ensure_future(wishes.commit(store.send))
    for number in range(1, 4):
        assert await asyncio.wait_for(wishes.put(f"k{number}", b""), 1) == number
    committing.cancel()
    await asyncio.gather(committing, return_exceptions=True)
