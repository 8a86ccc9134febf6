"""The sessions of one node by id, user and file: who is the first to come and the last to go."""

from gateway.sessions.index import Index


class Entry:
    def __init__(self, sid: int, user: str) -> None:
        self.sid, self.user, self.files = sid, user, ()  # type: ignore[var-annotated]


def test_the_first_join_and_the_last_leave_of_a_file_are_known() -> None:
    index: Index[Entry] = Index()
    one, two = Entry(1, "ada"), Entry(2, "bob")
    index.add(one)
    index.add(two)
    assert [index.join(one, "doc"), index.join(two, "doc"), index.join(two, "doc")] == [True, False, False]
    assert [index.leave(one, "doc"), index.leave(two, "doc")] == [False, True]
    assert (one.files, two.files) == ((), ())


def test_leaving_what_is_not_joined_changes_nothing() -> None:
    index: Index[Entry] = Index()
    one, two = Entry(1, "ada"), Entry(2, "bob")
    index.add(one)
    index.add(two)
    assert not index.leave(one, "doc")
    index.join(two, "doc")
    assert not index.leave(one, "doc")
    assert two.files == ("doc",)


def test_a_user_has_all_of_its_sessions_until_each_is_removed_once() -> None:
    index: Index[Entry] = Index()
    entries = [Entry(sid, "ada") for sid in (1, 2, 3)]
    for entry in entries:
        index.add(entry)
    index.join(entries[0], "doc")
    assert list(index.user("ada")) == entries
    assert index.remove(entries[0]) == ["doc"]
    assert index.remove(entries[0]) == []
    assert list(index.user("ada")) == entries[1:]
    for entry in entries[1:]:
        index.remove(entry)
    assert list(index.user("ada")) == []
    assert index.sessions == {}
