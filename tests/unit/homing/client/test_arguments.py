"""A wrong argument is an error that names it, before any router is involved."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing import Router, SyncRouter, Unavailable
from homing.client.requests import make_push, make_reply, make_target

ADDRESS = "127.0.0.1:1"  # never dialled: every call below fails before

NO_TEXT: list[object] = [7, b"ada", None, ["ada"], "half \ud83d"]
NO_NUMBER: list[object] = ["251043194593091584", 1.0, True, -1, 2**64, object()]
NO_SECONDS: list[object] = ["5", True, float("nan"), float("inf"), 1e300, None]


async def call(method: str, *positional: Any, **arguments: Any) -> None:
    router = Router(ADDRESS, connect_timeout=0)
    result = getattr(router, method)(*positional, **arguments)
    await (result if asyncio.iscoroutine(result) else anext(result))


WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any], str, list[object]]] = [
    ("push", (), {"event": "e"}, "user", NO_TEXT),
    ("push", (), {"event": "e"}, "file", NO_TEXT),
    ("push", (), {"event": "e"}, "session", NO_NUMBER),
    ("push", (), {"event": "e"}, "everyone", ["yes", 1]),
    ("push", (), {"event": "e", "user": "u"}, "namespace", NO_TEXT),
    ("push", (), {"user": "u"}, "event", NO_TEXT),
    ("push", (), {"user": "u", "event": "e"}, "content_type", NO_TEXT),
    ("push", (), {"user": "u", "event": "e"}, "push_id", [7, b"p", "\udc00"]),
    ("push", (), {"user": "u", "event": "e"}, "traceparent", [7, "\udc00"]),
    ("push", (), {"user": "u", "event": "e"}, "ttl", NO_SECONDS[:-1]),
    ("push", (), {"user": "u", "event": "e"}, "ack_timeout", NO_SECONDS[:-1]),
    ("push", (), {"user": "u", "event": "e"}, "durable", [1, "no"]),
    ("push", (), {"user": "u", "event": "e"}, "except_sessions", ["123", b"123", 5, ["123"], [True], [-1], [2**64]]),
    ("push", (), {"user": "u", "event": "e"}, "max_deliveries", ["5", True, -1, 2**32]),
    ("locate", (), {}, "user", NO_TEXT),
    ("locate", (), {"user": "u"}, "namespace", NO_TEXT),
    ("presence", (), {}, "file", NO_TEXT),
    ("presence", (), {"user": "u"}, "page_size", ["5", True, -1, 2**32]),
    ("join", ("f",), {}, "session", NO_NUMBER),
    ("join", (), {"user": "u"}, "file", NO_TEXT),
    ("leave", (), {"user": "u"}, "file", NO_TEXT),
    ("disconnect", (), {"user": "u"}, "reason", NO_TEXT),
    ("disconnect", (), {"user": "u"}, "namespace", NO_TEXT),
    ("disconnect", (), {"user": "u"}, "allow_reconnect", [1, "no"]),
    ("reply", (), {"ack": 1}, "session", NO_NUMBER),
    ("reply", (), {"session": 1}, "ack", NO_NUMBER),
    ("reply", (), {"session": 1, "ack": 1}, "content_type", NO_TEXT),
    ("reply", (), {"session": 1, "ack": 1}, "error", [7, ("a",), ("a", 7), ("a", "b", "c"), "\udc00"]),
    ("watch_user", (), {}, "user", NO_TEXT),
]


@pytest.mark.parametrize(("method", "positional", "arguments", "name", "values"), WRONG)
async def test_every_argument_of_every_call_is_checked_and_named(
    method: str, positional: tuple[Any, ...], arguments: dict[str, Any], name: str, values: list[object]
) -> None:
    for value in values:
        if value is None and name in ("user", "file") and method in ("push", "locate", "presence"):
            continue  # not given
        with pytest.raises((TypeError, ValueError), match=f"^{name}[: ]"):
            await call(method, *positional, **arguments, **{name: value})


def test_a_watch_raises_where_it_is_called() -> None:
    with pytest.raises(TypeError, match=r"^user must be str, not int: 7"):
        Router(ADDRESS).watch_user(7)  # type: ignore[arg-type]


def test_the_blocking_router_raises_the_same() -> None:
    with SyncRouter(ADDRESS) as router, pytest.raises(TypeError, match=r"^user must be str, not int: 7$"):
        router.push(user=7, event="e")  # type: ignore[arg-type]


def test_iterators_of_the_blocking_router_raise_where_they_are_called() -> None:
    with SyncRouter(ADDRESS) as router:
        for begin in (
            lambda: router.presence(user="u", page_size=-1),
            lambda: router.presence(user="u", file="f"),
            lambda: router.watch_user(7),  # type: ignore[arg-type]
        ):
            with pytest.raises((TypeError, ValueError)):
                begin()
    for begin in (lambda: router.presence(user="u"), router.watch_nodes):
        with pytest.raises(Unavailable, match="this Router was closed"):
            begin()


@pytest.mark.parametrize("kind", [Router, SyncRouter])
def test_the_constructors_arguments_are_checked(kind: type[Router | SyncRouter]) -> None:
    for value in (*NO_SECONDS[:-1], -1, -0.001):
        with pytest.raises((TypeError, ValueError), match=r"^connect_timeout[: ]"):
            kind(ADDRESS, connect_timeout=value)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^bounds must be PushBounds, not int$"):
        kind(ADDRESS, bounds=5)  # type: ignore[arg-type]
    for run_dir in (5, None, b".homing", "", "a\0b"):
        with pytest.raises((TypeError, ValueError), match=r"^run_dir[: ]"):
            kind.from_run_dir(run_dir)  # type: ignore[arg-type]


def test_several_addresses_in_one_text_are_several_arguments() -> None:
    with pytest.raises(ValueError, match="name several one by one"):
        Router("a:1,b:1")


def test_a_router_of_another_event_loop_says_so() -> None:
    router = Router(ADDRESS, connect_timeout=0)

    async def use(call: Callable[[], Any]) -> None:
        await call()

    calls: list[Callable[[], Any]] = [
        lambda: router.locate(user="u"),
        lambda: router.push(user="u", event="e"),
        lambda: anext(router.watch_nodes()),
        lambda: anext(router.presence(user="u")),
    ]
    with pytest.raises(Unavailable):
        asyncio.run(use(calls[0]))
    for call in calls:
        with pytest.raises(RuntimeError, match="this Router belongs to the event loop of its first call"):
            asyncio.run(use(call))


def test_a_value_without_a_text_is_named_too() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(TypeError, match=r"^user must be str, not Rude: a Rude$"):
        make_target(None, Rude(), None, False)  # type: ignore[arg-type]


def test_long_values_are_cut() -> None:
    with pytest.raises(ValueError, match=r"^user: .{77}\.\.\. has a lone surrogate"):
        make_target(None, "\udc00" + "x" * 1000, None, False)


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.lists(st.integers(-1, 2**64), max_size=3),
)
USUAL: dict[str, Any] = {"session": None, "user": "u", "file": None, "everyone": False, "namespace": "", "event": "e"}
USUAL |= {"content_type": "", "push_id": None, "ttl": None, "ack_timeout": None, "durable": False}
USUAL |= {"except_sessions": (), "max_deliveries": None, "traceparent": "", "ack": 1, "error": None}
NAMES = ("user", "session", "file", "everyone", "namespace", "event", "content_type", "push_id", "traceparent", "ttl")
NAMES += ("ack_timeout", "durable", "except_sessions", "max_deliveries", "ack", "error", "name exactly one")


def build_push(values: dict[str, Any]) -> object:
    target = make_target(*(values[name] for name in ("session", "user", "file", "everyone", "namespace")))
    rest = ("content_type", "push_id", "ttl", "ack_timeout", "durable", "except_sessions", "max_deliveries")
    return make_push(
        target, values["event"], None, **{name: values[name] for name in rest}, traceparent=values["traceparent"]
    )


def build_reply(values: dict[str, Any]) -> object:
    return make_reply(values["session"], values["ack"], None, values["content_type"], values["error"])


def error_of(build: Callable[[dict[str, Any]], object], values: dict[str, Any]) -> Exception | None:
    try:
        build(values)
    except (TypeError, ValueError) as error:
        return error
    return None


@pytest.mark.parametrize("build", [build_push, build_reply])
@given(changed=st.dictionaries(st.sampled_from(sorted(USUAL)), anything, max_size=4))
def test_any_values_are_a_request_or_an_error_that_names_one(
    build: Callable[[dict[str, Any]], object], changed: dict[str, Any]
) -> None:
    error = error_of(build, USUAL | changed)
    assert error is None or str(error).startswith((*NAMES, "data of type"))
