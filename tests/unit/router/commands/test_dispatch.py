"""Which call a command is, and which refusals are waited out."""

import json

import pytest

from router.commands import dispatch as carrying
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
        self.tries = 0

    def __getattr__(self, name):
        async def call(request):
            self.tries += 1
            if self.refusals:
                raise self.refusals.pop(0)
            self.done.append((name, request))

        return call


@pytest.fixture
def calls():
    return FakeCalls()


async def carry(calls, operator, body):
    await CommandDispatcher(calls).carry({"X-Operator": operator}, json.dumps(body).encode(), ORIGIN)


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
    await carry(calls, operator, body)
    ((name, request),) = calls.done
    assert name == call
    assert request.DESCRIPTOR.name.lower().startswith(call)
    if "json" in body:
        assert json.loads(request.data) == body["json"]


async def test_a_full_queue_is_waited_for_however_often(calls):
    calls.refusals = [CallRefused("RESOURCE_EXHAUSTED", "full", retry_after=SOON) for _ in range(200)]
    await carry(calls, "join", {**USER, "file": "f"})
    assert (calls.tries, len(calls.done)) == (201, 1)


async def test_a_silent_node_is_asked_again(calls):
    calls.refusals = [CallRefused("UNAVAILABLE", "silent", retry_after=SOON)] * 3
    await carry(calls, "join", {**USER, "file": "f"})
    assert len(calls.done) == 1


async def test_but_not_for_ever(calls, monkeypatch):
    monkeypatch.setattr(carrying, "SILENCE", 0.0)
    calls.refusals = [CallRefused("UNAVAILABLE", "silent", retry_after=SOON)]
    with pytest.raises(CallRefused, match="silent"):
        await carry(calls, "join", {**USER, "file": "f"})


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "FAILED_PRECONDITION"])
async def test_a_mistake_is_not_tried_again(calls, code):
    calls.refusals = [CallRefused(code, "no")]
    with pytest.raises(CallRefused):
        await carry(calls, "join", {**USER, "file": "f"})
    assert (calls.tries, calls.done) == (1, [])
