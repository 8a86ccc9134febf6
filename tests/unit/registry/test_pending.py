import asyncio

from registry.batches import Batch
from registry.pending import PendingWrites


class RecordingStore:
    """A store's side of the batches: records them, and answers while `answering` is set."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.answering = asyncio.Event()
        self.answering.set()

    async def send(self, batch: Batch) -> None:
        self.batches.append(batch)
        await self.answering.wait()


def pending_writes() -> PendingWrites:
    return PendingWrites(iter(range(0, 10**6, 10)).__next__)  # seconds: each interval between batches has passed


async def turn_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_put_resolves_with_the_number_of_its_batch() -> None:
    writes, store = pending_writes(), RecordingStore()
    first = writes.put("a", b"1")
    await writes.flush(store.send)
    second = writes.put("b", b"2")
    await writes.flush(store.send)
    assert (first.result(), second.result(), writes.last_committed) == (1, 2, 2)


async def test_puts_gather_while_a_batch_is_in_flight_and_each_has_a_future_of_its_own() -> None:
    writes, store = pending_writes(), RecordingStore()
    store.answering.clear()
    first = writes.put("a", b"")
    flushing = asyncio.ensure_future(writes.flush(store.send))
    await turn_loop()
    joins = [writes.put("f", b"") for _ in range(3)]
    joins[0].cancel()
    store.answering.set()
    await flushing
    assert first.result() == 1
    assert [join.cancelled() or join.result() for join in joins] == [True, 2, 2]
    assert [len(batch.operations) for batch in store.batches] == [1, 1]


async def test_two_flushes_never_have_two_batches_in_flight() -> None:
    writes, store = pending_writes(), RecordingStore()
    store.answering.clear()
    writes.put("a", b"")
    flushing = [asyncio.ensure_future(writes.flush(store.send)) for _ in range(2)]
    await turn_loop()
    writes.put("b", b"")
    await turn_loop()
    assert len(store.batches) == 1
    store.answering.set()
    await asyncio.gather(*flushing)
    assert [batch.number for batch in store.batches] == [1, 2]


async def test_an_interrupted_batch_is_sent_again_unchanged() -> None:
    writes, store = pending_writes(), RecordingStore()
    store.answering.clear()
    writes.put("a", b"1")
    flushing = asyncio.ensure_future(writes.flush(store.send))
    await turn_loop()
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    writes.put("b", b"2")
    store.answering.set()
    await writes.flush(store.send)
    assert store.batches[0] == store.batches[1]
    assert store.batches[2] == Batch(2, (("b", b"2"),))


async def test_a_delete_cancels_the_futures_of_its_puts_and_may_cost_nothing() -> None:
    writes, store = pending_writes(), RecordingStore()
    future = writes.put("a", b"1")
    writes.delete("a")
    await writes.flush(store.send)
    assert future.cancelled()
    assert store.batches == []
    assert writes.oldest_put() is None


async def test_put_unless_committed_is_done_at_once_when_committed() -> None:
    writes, store = pending_writes(), RecordingStore()
    assert not writes.put_unless_committed("f", b"").done()
    await writes.flush(store.send)
    again = writes.put_unless_committed("f", b"")
    assert again.done()
    assert again.result() == 1
    writes.delete("f")
    assert not writes.put_unless_committed("f", b"").done()


async def test_the_oldest_put_is_known() -> None:
    now = 5.0
    writes = PendingWrites(lambda: now)
    assert writes.oldest_put() is None
    writes.put("a", b"")
    now = 6.0
    writes.put("b", b"")
    writes.put("a", b"")
    assert writes.oldest_put() == 5.0
    writes.delete("a")
    assert writes.oldest_put() == 6.0


async def test_after_close_every_future_is_cancelled() -> None:
    writes = pending_writes()
    before = writes.put("a", b"")
    writes.close()
    after = writes.put("b", b"")
    writes.delete("c")
    assert before.cancelled()
    assert after.cancelled()
    assert writes.put_unless_committed("a", b"").cancelled()
    assert writes.oldest_put() is None


async def test_run_sends_whatever_is_put_until_it_is_cancelled() -> None:
    writes, store = pending_writes(), RecordingStore()
    committing = asyncio.ensure_future(writes.run(store.send))
    for number in range(1, 4):
        assert await asyncio.wait_for(writes.put(f"k{number}", b""), 1) == number
    committing.cancel()
    await asyncio.gather(committing, return_exceptions=True)
