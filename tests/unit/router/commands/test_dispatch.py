"""The call of each operator, and which refusals are retried."""

import json

import pytest

from router.caller import LOOPBACK, Caller
from router.commands import dispatch
from router.commands.command import Origin
from router.commands.dispatch import CommandDispatcher
from router.push import CallRefused

ORIGIN = Origin("t", 0, 1)
SOON = 1e-6  # seconds


class FakeCalls:
    """The API's calls; each refuses with what stands in `refusals`, in turn, before it is done."""

    def __init__(self):
        self.refusals = []
        self.done = []
        self.callers = set()
        self.tries = 0

    def __getattr__(self, name):
        async def call(caller, request):
            self.tries += 1
            self.callers.add(caller)
            if self.refusals:
                raise self.refusals.pop(0)
            self.done.append((name, request))

        return call


@pytest.fixture
def calls():
    return FakeCalls()


async def execute(calls, operator, body, caller=LOOPBACK):
    headers = {"X-Operator": operator}
    await CommandDispatcher(calls).dispatch(caller, headers, json.dumps(body).encode(), ORIGIN)


USER = {"target": {"user": "ada"}}


@pytest.mark.parametrize(
    ("operator", "body", "call"),
    [
        ("unicast", {**USER, "event": "e", "json": {"a": [1]}}, "push"),
        ("broadcast", {"target": {"everyone": True}, "event": "e", "json": 1}, "push"),
        ("join", {**USER, "file": "f"}, "join"),
        ("leave", {**USER, "file": "f"}, "leave"),
        ("disconnect", {**USER, "reason": "r", "allow_reconnect": True}, "disconnect"),
        ("reply", {"session": "5", "ack": 6, "json": [1]}, "reply"),
    ],
)
async def test_an_operator_is_one_of_the_api_s_calls(calls, operator, body, call):
    await execute(calls, operator, body)
    ((name, request),) = calls.done
    assert name == call
    assert request.DESCRIPTOR.name.lower().startswith(call)
    if "json" in body:
        assert json.loads(request.data) == body["json"]


async def test_a_full_queue_is_retried_for_ever(calls):
    calls.refusals = [CallRefused("RESOURCE_EXHAUSTED", "full", retry_after=SOON) for _ in range(200)]
    await execute(calls, "join", {**USER, "file": "f"})
    assert (calls.tries, len(calls.done)) == (201, 1)


async def test_a_node_that_does_not_answer_is_tried_again(calls):
    calls.refusals = [CallRefused("UNAVAILABLE", "no answer", retry_after=SOON)] * 3
    await execute(calls, "join", {**USER, "file": "f"})
    assert len(calls.done) == 1


async def test_a_node_that_does_not_answer_is_not_tried_for_ever(calls, monkeypatch):
    monkeypatch.setattr(dispatch, "UNAVAILABLE_LIMIT", 0.0)
    calls.refusals = [CallRefused("UNAVAILABLE", "no answer", retry_after=SOON)]
    with pytest.raises(CallRefused, match="no answer"):
        await execute(calls, "join", {**USER, "file": "f"})


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "FAILED_PRECONDITION"])
async def test_a_mistake_is_not_tried_again(calls, code):
    calls.refusals = [CallRefused(code, "no")]
    with pytest.raises(CallRefused):
        await execute(calls, "join", {**USER, "file": "f"})
    assert (calls.tries, calls.done) == (1, [])


async def test_the_call_is_made_as_the_caller_of_the_record(calls):
    caller = Caller("topic", frozenset({"push"}))
    await execute(calls, "join", {**USER, "file": "f"}, caller)
    assert calls.callers == {caller}
