"""The index against a model that is nothing but sets."""

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.sessions.index import Index

USERS = st.sampled_from(["ada", "bob"])
FILES = st.sampled_from(["f", "g", "h"])


@dataclass(eq=False)
class Somebody:
    sid: int
    user: str
    files: tuple[str, ...] = field(default=())


class IndexMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.index = Index[Somebody]()
        self.here: list[Somebody] = []
        self.joined: dict[str, set[int]] = {}
        self.sids = 0

    @rule(user=USERS)
    def come(self, user: str) -> None:
        self.sids += 1
        somebody = Somebody(self.sids, user)
        self.here.append(somebody)
        self.index.add(somebody)

    @rule(data=st.data(), file=FILES)
    def join(self, data: st.DataObject, file: str) -> None:
        if self.here:
            somebody = data.draw(st.sampled_from(self.here))
            first = not self.joined.get(file)
            assert self.index.join(somebody, file) is first
            self.joined.setdefault(file, set()).add(somebody.sid)

    @rule(data=st.data(), file=FILES)
    def leave(self, data: st.DataObject, file: str) -> None:
        if self.here:
            somebody = data.draw(st.sampled_from(self.here))
            was_last = self.joined.get(file) == {somebody.sid}
            assert self.index.leave(somebody, file) is was_last
            self.joined.get(file, set()).discard(somebody.sid)

    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        if self.here:
            somebody = data.draw(st.sampled_from(self.here))
            self.here.remove(somebody)
            emptied = {file for file, sids in self.joined.items() if sids == {somebody.sid}}
            assert set(self.index.remove(somebody)) == emptied
            for sids in self.joined.values():
                sids.discard(somebody.sid)
            assert self.index.remove(somebody) == []

    @invariant()
    def agrees(self) -> None:
        assert set(self.index.sessions) == {somebody.sid for somebody in self.here}
        for user in ("ada", "bob"):
            assert {s.sid for s in self.index.user(user)} == {s.sid for s in self.here if s.user == user}
        for file in ("f", "g", "h"):
            assert {s.sid for s in self.index.file(file)} == self.joined.get(file, set())
        assert set(self.index.files()) == {file for file, sids in self.joined.items() if sids}
        for somebody in self.here:
            assert set(somebody.files) == {file for file, sids in self.joined.items() if somebody.sid in sids}
            assert len(set(somebody.files)) == len(somebody.files)


TestIndex = IndexMachine.TestCase
