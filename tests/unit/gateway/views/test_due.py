"""Whatever comes, changes, leaves, fails and is late: once nothing is due, the views show exactly who is there."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.sessions.stage import Stage
from gateway.views.due import Due, Shown

REFRESH = 10.0


class Client:
    """What a session shows of itself."""

    def __init__(self) -> None:
        self.files: tuple[str, ...] = ()
        self.stage = Stage.CONNECTED


def made(held: int = 100) -> tuple[Due, Any]:
    return Due(REFRESH, held), Client()


def test_a_session_that_comes_and_goes_between_two_writes_is_never_shown():
    due, client = made()
    due.changed(client)
    client.stage = Stage.CLOSED
    assert due.gone(client)
    assert due.take(10, 0.0) == []


def test_who_is_there_is_shown_again_only_when_its_time_has_come():
    due, client = made()
    due.changed(client)
    due.changed(client)
    due.written(due.take(10, 0.0), 0.0)
    assert due.take(10, REFRESH - 1) == []
    assert due.take(10, REFRESH) == [Shown(client, (), (), False)]


def test_a_left_file_is_taken_out_and_a_failed_write_is_made_up_for():
    due, client = made()
    client.files = ("a", "b")
    due.changed(client)
    due.written(due.take(10, 0.0), 0.0)
    client.files = ("b",)
    due.changed(client)
    taken = due.take(10, 1.0)
    assert taken == [Shown(client, ("b",), ("a",), False)]
    due.failed(taken)
    assert due.take(10, 1.0) == [Shown(client, ("b",), ("a",), False)]


def test_one_that_leaves_while_it_is_written_is_taken_out_afterwards():
    due, client = made()
    client.files = ("a",)
    due.changed(client)
    taken = due.take(10, 0.0)
    client.stage = Stage.CLOSED
    due.gone(client)
    due.written(taken, 0.0)
    assert due.take(10, 0.0) == [Shown(client, (), ("a",), True)]


def test_what_has_left_is_bounded_and_said_so():
    due, _ = made(held=1)
    clients = [Client(), Client()]
    for client in clients:
        due.changed(client)
    due.written(due.take(10, 0.0), 0.0)
    for client in clients:
        client.stage = Stage.CLOSED
    assert [due.gone(client) for client in clients] == [True, False]


def test_who_is_closed_is_not_shown_again():
    due, client = made()
    due.changed(client)
    due.written(due.take(10, 0.0), 0.0)
    client.stage = Stage.CLOSED
    due.changed(client)
    assert due.take(10, 0.0) == []
    assert due.gone(client)
    assert due.take(10, 0.0) == [Shown(client, (), (), True)]


class Redis:
    """What the script would do."""

    def __init__(self) -> None:
        self.hashes: set[Client] = set()
        self.files: dict[str, set[Client]] = {}

    def write(self, taken: list[Shown]) -> None:
        for one in taken:
            for file in one.left:
                self.files.get(file, set()).discard(one.session)
            if one.gone:
                self.hashes.discard(one.session)
                continue
            self.hashes.add(one.session)
            for file in one.files:
                self.files.setdefault(file, set()).add(one.session)


class Views(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.due = Due(REFRESH, 1000)
        self.redis = Redis()
        self.there: list[Client] = []
        self.now = 0.0

    @rule()
    def come(self) -> None:
        self.there.append(Client())
        self.due.changed(self.there[-1])

    @rule(which=st.integers(0, 9), files=st.lists(st.sampled_from("abc"), unique=True))
    def change(self, which: int, files: list[str]) -> None:
        if self.there:
            client = self.there[which % len(self.there)]
            client.files = tuple(files)
            self.due.changed(client)

    @rule(which=st.integers(0, 9))
    def go(self, which: int) -> None:
        if self.there:
            self._go(self.there.pop(which % len(self.there)))

    def _go(self, client: Client) -> None:
        client.stage, client.files = Stage.CLOSED, ()
        self.due.gone(client)

    @rule(number=st.integers(1, 4), fate=st.sampled_from(["written", "lost", "answer lost"]), leave=st.booleans())
    def write(self, number: int, fate: str, leave: bool) -> None:
        taken = self.due.take(number, self.now)
        assert len(taken) <= number
        if leave and self.there:
            self._go(self.there.pop())
        if fate != "lost":
            self.redis.write(taken)
        if fate == "written":
            self.due.written(taken, self.now)
        else:
            self.due.failed(taken)

    @rule(seconds=st.floats(0, 30))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    def teardown(self) -> None:
        while taken := self.due.take(3, self.now):
            self.redis.write(taken)
            self.due.written(taken, self.now)
        assert self.redis.hashes == set(self.there)
        shown = {(file, client) for file, clients in self.redis.files.items() for client in clients}
        assert shown == {(file, client) for client in self.there for file in client.files}

    @invariant()
    def nobody_stands_in_both_lines(self) -> None:
        assert not set(self.due._changed) & set(self.due._gone)


TestViews = Views.TestCase
TestViews.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
