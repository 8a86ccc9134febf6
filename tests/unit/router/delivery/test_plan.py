"""The plan of a target: one leg for each owning node."""

from registry.model import Incarnation
from router.delivery.plan import is_miss, plan, to_receivers
from router.push import Target
from tests.support.table import TableFeed


def make() -> tuple[TableFeed, Incarnation, Incarnation]:
    feed = TableFeed()
    one, two = feed.node("one"), feed.node("two")
    feed.session(one, "ada", 1)
    feed.session(one, "ada", 2)
    feed.session(two, "ada", 3, namespace="/chat")
    feed.session(two, "bob", 4)
    feed.file(one, "doc")
    feed.file(two, "doc")
    feed.file(two, "other")
    return feed, one, two


def test_exactly_the_owners() -> None:
    feed, one, two = make()
    table = feed.table
    for target, owners in (
        (Target(session=4), {two}),
        (Target(user="ada", namespace="*"), {one, two}),
        (Target(user="ada"), {one}),
        (Target(user="ada", namespace="/chat"), {two}),
        (Target(file="other"), {two}),
        (Target(file="doc"), {one, two}),
        (Target(everyone=True), {one, two}),
        (Target(user="nobody"), set()),
        (Target(session=99), set()),
    ):
        legs = plan(target, table, ())
        assert set(legs) == owners
        assert is_miss(legs) is not bool(owners)
    assert [route.sid for route in plan(Target(user="ada"), table, ())[one].known] == [1, 2]
    assert plan(Target(file="doc"), table, ())[one].known == ()


def test_a_node_with_unregistered_sessions_gets_a_scatter_leg() -> None:
    feed, one, two = make()
    assert {incarnation: leg.scatter for incarnation, leg in plan(Target(user="ada"), feed.table, {two}).items()} == {
        one: False,
        two: True,
    }
    assert not plan(Target(user="bob"), feed.table, {two})[two].scatter
    assert set(plan(Target(session=1), feed.table, {two})) == {one}  # a session that is known needs none
    legs = plan(Target(session=99), feed.table, {two})
    assert set(legs) == {two}
    assert is_miss(legs)


def test_the_receivers_in_the_message() -> None:
    assert list(to_receivers(Target(session=4)).sessions.sids) == [4]
    assert to_receivers(Target(user="a", namespace="*")).user == "a"
    assert to_receivers(Target(user="a", namespace="*")).namespace == "*"
    assert to_receivers(Target(file="f")).file == "f"
    assert to_receivers(Target(everyone=True)).everyone
