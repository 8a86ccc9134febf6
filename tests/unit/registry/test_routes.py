import msgspec
import pytest

from registry.keys import Keys
from registry.model import Incarnation, Node, SessionInfo
from registry.routes import RouteTable, TableChange
from registry.store import Change, Changes, Entry, Snapshot
from tests.support.table import load

KEYS = Keys("c")
NODE = Node("ws://h:1/ws", "h:2", "h:3", 7, "v")
INFO = SessionInfo("/", "test", 5)
OLD, NEW, OTHER = Incarnation("n", 10), Incarnation("n", 50), Incarnation("m", 20)


class RouteTableRig:
    def __init__(self) -> None:
        self.table = RouteTable("c")
        self.revision = 100

    def apply(self, *changes: Change) -> TableChange:
        self.revision += 1
        return self.table.apply(Changes(self.revision, changes))

    def up(self, *incarnations: Incarnation, number: int = 0) -> TableChange:
        changes = []
        for incarnation in incarnations:
            changes += [node(incarnation), put(KEYS.batch(incarnation.node), b"%d" % number)]
        return self.apply(*changes)

    def down(self, incarnation: Incarnation) -> TableChange:
        return self.apply(gone(KEYS.node(incarnation.node)), gone(KEYS.batch(incarnation.node)))


def put(key: str, value: bytes = b"", created: int = 100) -> Change:
    return Change(Entry(key, value, created, created), False)


def gone(key: str) -> Change:
    return Change(Entry(key, b"", 0, 0), True)


def node(incarnation: Incarnation, value: Node = NODE) -> Change:
    return put(KEYS.node(incarnation.node), msgspec.json.encode(value), incarnation.epoch)


def session(sid: int, incarnation: Incarnation, created: int = 100, user: str = "u") -> Change:
    return put(KEYS.session(user, sid, incarnation), msgspec.json.encode(INFO), created)


@pytest.fixture
def rig() -> RouteTableRig:
    return RouteTableRig()


def test_a_node_comes_changes_and_goes(rig: RouteTableRig) -> None:
    assert rig.up(OLD) == TableChange(up=((OLD, NODE),), batches=((OLD, 0),))
    assert rig.table.present(OLD)
    draining = msgspec.structs.replace(NODE, draining=True)
    assert rig.apply(node(OLD, draining)).changed == ((OLD, draining),)
    assert rig.apply(put(KEYS.batch("n"), b"12")) == TableChange(batches=((OLD, 12),))
    assert rig.table.batch(OLD) == 12
    assert rig.down(OLD) == TableChange(gone=(OLD,))
    assert not rig.table.present(OLD)
    assert rig.table.batch(OLD) == 0
    assert rig.table.lingering() == [OLD]


def test_another_epoch_replaces_an_incarnation(rig: RouteTableRig) -> None:
    rig.up(OLD)
    change = rig.up(NEW)
    assert change.gone == (OLD,)
    assert change.up == ((NEW, NODE),)


def test_an_incarnation_that_came_and_went_in_one_message_is_no_change_and_does_not_linger(rig: RouteTableRig) -> None:
    assert rig.apply(node(OLD), session(1, OLD), gone(KEYS.node("n"))) == TableChange()
    assert rig.table.lingering() == []
    assert rig.table.ended() == [OLD]


def test_routes_of_a_lingering_incarnation_count_until_it_is_ended(rig: RouteTableRig) -> None:
    rig.up(OLD)
    rig.apply(session(1, OLD), put(KEYS.file("f", OLD)))
    rig.down(OLD)
    assert rig.table.session(1) is not None
    assert rig.table.file("f") == [OLD]
    assert rig.table.ended() == []
    rig.table.end(OLD)
    assert rig.table.session(1) is None
    assert rig.table.user("u") == []
    assert rig.table.file("f") == []
    assert rig.table.ended() == [OLD]


def test_ending_a_present_incarnation_changes_nothing(rig: RouteTableRig) -> None:
    rig.up(OLD)
    rig.apply(session(1, OLD))
    rig.table.end(OLD)
    assert rig.table.session(1) is not None


def test_the_newest_registration_whose_incarnation_counts_is_the_route(rig: RouteTableRig) -> None:
    rig.up(OLD, OTHER)
    rig.apply(session(1, OTHER, created=200), session(1, OLD, created=150))
    assert rig.table.session(1).incarnation == OTHER
    assert [r.incarnation for r in rig.table.user("u")] == [OTHER]
    rig.down(OTHER)
    rig.table.end(OTHER)
    assert rig.table.session(1).incarnation == OLD
    assert [r.incarnation for r in rig.table.user("u")] == [OLD]


def test_a_route_of_an_old_epoch_does_not_count(rig: RouteTableRig) -> None:
    rig.up(NEW)
    rig.apply(session(1, OLD))
    assert rig.table.session(1) is None
    assert rig.table.ended() == [OLD]


def test_a_key_that_is_put_again_is_still_one_record(rig: RouteTableRig) -> None:
    rig.up(OLD)
    rig.apply(session(1, OLD), session(1, OLD))
    assert len(rig.table.user("u")) == 1
    rig.apply(gone(KEYS.session("u", 1, OLD)))
    assert rig.table.session(1) is None
    assert rig.table.user("u") == []


def test_keys_of_an_incarnation_are_the_keys_that_were_put(rig: RouteTableRig) -> None:
    rig.up(OLD)
    rig.apply(session(1, OLD, user="a/b"), session(2, OLD), session(3, NEW), put(KEYS.file("f%", OLD)))
    every = {KEYS.session("a/b", 1, OLD), KEYS.session("u", 2, OLD), KEYS.file("f%", OLD)}
    assert {key for key, _ in rig.table.keys_of(OLD, 10)} == every
    assert {key for key, _ in rig.table.keys_of(OLD, 2)} < every
    assert rig.table.keys_of(Incarnation("x", 1), 10) == []


def test_a_session_is_lost_unless_another_incarnation_goes_on_with_it(rig: RouteTableRig) -> None:
    rig.up(OLD)
    rig.apply(session(1, OLD), session(2, OLD), put(KEYS.file("f", OLD)))
    rig.down(OLD)
    rig.table.end(OLD)
    rig.up(NEW)
    rig.apply(session(2, NEW))
    lost = {key: route.sid for key, route in rig.table.keys_of(OLD, 10) if route is not None}
    assert lost == {KEYS.session("u", 1, OLD): 1}


def test_a_snapshot_is_diffed_also_when_batches_come_before_nodes(rig: RouteTableRig) -> None:
    rig.up(OLD, OTHER)
    rig.apply(session(1, OLD), session(2, OTHER))
    entries = [put(KEYS.batch("n"), b"4", 50), node(NEW), session(3, NEW), session(2, OTHER)]
    change = load(rig.table, Snapshot(900, [c.entry for c in entries]))
    assert set(change.gone) == {OLD, OTHER}
    assert change.up == ((NEW, NODE),)
    assert change.batches == ((NEW, 4),)
    assert rig.table.revision == 900
    assert rig.table.session(1) is None
    assert rig.table.session(2).incarnation == OTHER, "it lingers"
    assert rig.table.session(3).incarnation == NEW


@pytest.mark.parametrize(
    "key",
    ["nonsense", "sessions/u/x/n.1", "sessions/u/1/n", "sessions/u/1", "files/f", "files/f/n.x", "nodes/a/b", "layout"],
)
def test_keys_that_cannot_be_parsed_are_ignored(rig: RouteTableRig, key: str) -> None:
    assert rig.apply(put(KEYS.prefix + key), gone(KEYS.prefix + key)) == TableChange()
    assert len(rig.table) == 0


def test_values_that_cannot_be_decoded_are_not_routed(rig: RouteTableRig) -> None:
    rig.up(OLD)
    rig.apply(put(KEYS.session("u", 1, OLD), b"{"), put(KEYS.batch("n"), b"-1"))
    assert rig.table.session(1) is None
    assert rig.table.batch(OLD) == 0
    assert rig.apply(put(KEYS.node("n"), b"{", OLD.epoch)).gone == (OLD,)


def test_deletes_of_absent_keys_are_ignored(rig: RouteTableRig) -> None:
    rig.up(OLD)
    rig.apply(session(1, OLD))
    rig.apply(gone(KEYS.session("u", 1, NEW)), gone(KEYS.session("v", 1, OLD)), gone(KEYS.file("f", OLD)))
    assert rig.table.session(1) is not None


def test_a_user_of_many_sessions_loses_them_one_by_one(rig: RouteTableRig) -> None:
    rig.up(OLD)
    rig.apply(*(session(sid, OLD) for sid in range(1, 501)))
    assert len(rig.table.user("u")) == 500
    for sid in range(1, 501):
        rig.apply(gone(KEYS.session("u", sid, OLD)))
        assert len(rig.table.user("u")) == 500 - sid
    assert rig.table.ended() == []
    assert rig.table.keys_of(OLD, 1) == []


def test_a_file_that_is_put_again_has_its_owner_once(rig: RouteTableRig) -> None:
    rig.up(OLD)
    for _ in range(2):
        rig.apply(put(KEYS.file("doc", OLD)))
    assert rig.table.file("doc") == [OLD]
