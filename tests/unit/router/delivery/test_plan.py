"""A target and the table become one leg per owning node."""

from registry.model import Incarnation
from router.delivery.plan import missed, plan, receivers
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
        assert missed(legs) is not bool(owners)
    assert [route.sid for route in plan(Target(user="ada"), table, ())[one].known] == [1, 2]
    assert plan(Target(file="doc"), table, ())[one].known == ()


def test_who_holds_unregistered_sessions_is_asked_too() -> None:
    feed, one, two = make()
    assert {incarnation: leg.scatter for incarnation, leg in plan(Target(user="ada"), feed.table, {two}).items()} == {
        one: False,
        two: True,
    }
    assert not plan(Target(user="bob"), feed.table, {two})[two].scatter
    assert set(plan(Target(session=1), feed.table, {two})) == {one}  # a session that is known needs none
    legs = plan(Target(session=99), feed.table, {two})
    assert set(legs) == {two}
    assert missed(legs)


def test_what_the_node_is_told() -> None:
    assert list(receivers(Target(session=4)).sessions.sids) == [4]
    assert receivers(Target(user="a", namespace="*")).user == "a"
    assert receivers(Target(user="a", namespace="*")).namespace == "*"
    assert receivers(Target(file="f")).file == "f"
    assert receivers(Target(everyone=True)).everyone
