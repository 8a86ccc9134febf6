"""The batcher against a guarded store that loses requests and answers: what is committed is what was requested last."""

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from registry.batches import Batch, RegistrationBatcher

KEYS = st.sampled_from("abcdefg")
VALUES = st.none() | st.sampled_from([b"1", b"2"])
LIMIT = 3


class GuardedStore:
    """Applies a batch only if it is the next one; the result: whether it has been applied, now or earlier."""

    def __init__(self) -> None:
        self.guard = 0
        self.data: dict[str, bytes] = {}
        self.applied: dict[int, Batch] = {}

    def transaction(self, batch: Batch) -> bool:
        if batch.number == self.guard + 1:
            self.guard = batch.number
            self.applied[batch.number] = batch
            for key, value in batch.operations:
                if value is None:
                    self.data.pop(key, None)
                else:
                    self.data[key] = value
        return batch.number == self.guard


class BatcherMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.batcher = RegistrationBatcher(limit=LIMIT)
        self.store = GuardedStore()
        self.requested: dict[str, bytes | None] = {}
        self.sent: Batch | None = None
        self.late: list[Batch] = []  # requests that may still arrive

    @rule(key=KEYS, value=VALUES)
    def request(self, key: str, value: bytes | None) -> None:
        self.requested[key] = value
        self.batcher.set(key, value)

    @precondition(lambda self: self.sent is None)
    @rule()
    def open(self) -> None:
        self.sent = self.batcher.next_batch()
        if self.sent is None:
            assert self.batcher.idle
            return
        keys = [key for key, _ in self.sent.operations]
        assert 1 <= len(keys) == len(set(keys)) <= LIMIT

    @precondition(lambda self: self.sent is not None)
    @rule()
    def request_is_lost_or_late(self) -> None:
        assert self.batcher.next_batch() is None
        assert self.batcher.in_flight == self.sent
        self.late.append(self.sent)

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def a_late_request_arrives(self, data: st.DataObject) -> None:
        self.store.transaction(self.late.pop(data.draw(st.integers(0, len(self.late) - 1))))

    @precondition(lambda self: self.sent is not None)
    @rule()
    def answer_is_lost(self) -> None:
        assert self.store.transaction(self.sent)

    @precondition(lambda self: self.sent is not None)
    @rule()
    def answered(self) -> None:
        assert self.store.transaction(self.batcher.in_flight)
        number, keys = self.batcher.acknowledge()
        assert number == self.store.guard
        for key in keys:
            assert self.store.data[key] == self.requested[key]
        for key, value in self.sent.operations:
            if value is not None and value == self.requested[key]:
                assert key in keys
        self.sent = None

    @rule()
    def drain(self) -> None:
        """However it came here, a few acknowledged batches make the store what was requested."""
        for _ in range(10):
            if self.batcher.in_flight is None and self.batcher.next_batch() is None:
                break
            assert self.store.transaction(self.batcher.in_flight)
            self.batcher.acknowledge()
        self.sent = None
        assert self.batcher.idle
        assert self.store.data == {key: value for key, value in self.requested.items() if value is not None}

    @invariant()
    def committed_is_true(self) -> None:
        for key, value in self.requested.items():
            number = self.batcher.committed_batch(key)
            if number is not None:
                assert number <= self.store.guard
                assert self.store.data[key] == value


TestBatcher = BatcherMachine.TestCase
