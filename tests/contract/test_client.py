"""The client library against a real gRPC server with a scripted servicer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from homing import Refused, Router, SyncRouter, Unavailable, trace_of
from homing.client.push_stream import MAX_PUSH_BYTES, PushBounds
from homing.client.values import NodeUp, Outcome, SessionConnected, SessionDisconnected, Synced
from homing.v1 import router_pb2 as pb
from tests.support.scripted_router import ScriptedRouter, written

QUICK = PushBounds(margin=0.2)


@asynccontextmanager
async def routers(*scripted: ScriptedRouter) -> AsyncIterator[list[str]]:
    for router in scripted:
        await router.start()
    try:
        yield [router.address for router in scripted]
    finally:
        for router in scripted:
            await router.kill()


async def test_a_push_carries_all_arguments_and_returns_its_report():
    def answer(push):
        delivery = pb.Delivery(session=7, user="ada", node="g0", outcome=pb.Delivery.ACKED, ack_data=b'{"ok":true}')
        delivery.latency.FromMilliseconds(12)
        report = pb.PushReport(push_id=push.push_id, counts={"ACKED": 1}, deliveries=[delivery], trace_id="a" * 32)
        report.nodes_contacted, report.owning_nodes, report.amplification = 2, 1, 2.0
        return report

    scripted = ScriptedRouter(answer)
    async with routers(scripted) as addresses, Router(*addresses) as router:
        report = await router.push(
            user="ada", event="e", data={"n": [1, None]}, ttl=1.5, ack_timeout=0.25, except_sessions=[3], namespace="*"
        )
    (push,) = scripted.pushes
    assert (push.target.user, push.target.namespace, push.event, push.data) == ("ada", "*", "e", b'{"n":[1,null]}')
    assert push.ack_timeout.ToNanoseconds() == 250_000_000
    assert 0 < push.ttl.ToNanoseconds() <= 1_500_000_000  # less the time that it took to connect
    assert (list(push.except_sessions), push.HasField("max_deliveries")) == ([3], False)
    assert report.push_id == push.push_id != ""
    assert (report.counts, report.reached) == ({Outcome.ACKED: 1}, 1)
    assert (report.deliveries[0].latency, report.deliveries[0].ack) == (0.012, {"ok": True})
    assert (report.nodes_contacted, report.amplification, report.trace_id) == (2, 2.0, "a" * 32)


async def test_a_refused_push_raises_and_the_others_are_delivered():
    def answer(push):
        if push.event != "bad":
            return written(push)
        error = pb.Error(code="RESOURCE_EXHAUSTED", message="too much", field="data")
        error.retry_after.FromMilliseconds(1500)
        return pb.PushReport(push_id=push.push_id, error=error)

    scripted = ScriptedRouter(answer)
    async with routers(scripted) as addresses, Router(*addresses) as router:
        good, bad, also_good = await asyncio.gather(
            *(router.push(user="u", event=event) for event in ("good", "bad", "good")), return_exceptions=True
        )
    assert isinstance(bad, Refused)
    assert (bad.code, bad.message, bad.field, bad.retry_after) == ("RESOURCE_EXHAUSTED", "too much", "data", 1.5)
    assert good.counts == also_good.counts == {Outcome.WRITTEN: 1}
    assert scripted.streams == 1


async def test_queued_pushes_share_messages_within_the_bounds_and_keep_their_order():
    scripted = ScriptedRouter()
    async with routers(scripted) as addresses, Router(*addresses) as router:
        await asyncio.gather(*(router.push(file="f", event="e", data=number) for number in range(1000)))
        large = b"x" * 700_000
        await asyncio.gather(*(router.push(file="f", event="e", data=large, content_type="a/b") for _ in range(3)))
        await router.push(file="f", event="e", data=b"x" * 1_500_000, content_type="a/b")
    assert [int(push.data) for push in scripted.pushes[:1000]] == list(range(1000))
    sizes = [len(message.pushes) for message in scripted.messages]
    assert max(sizes) <= 256
    assert sizes[:4] == [256, 256, 256, 232]  # all were queued before the stream was open
    assert sizes[4:] == [1, 1, 1, 1]
    assert scripted.streams == 1


async def test_no_more_pushes_are_in_flight_than_the_bound():
    most = 0
    waiting: list[asyncio.Future[None]] = []

    async def answer(push):
        nonlocal most
        most = max(most, sum(not future.done() for future in waiting) + 1)
        waiting.append(asyncio.get_running_loop().create_future())
        if len(waiting) >= 4:
            for future in waiting:
                if not future.done():
                    future.set_result(None)
        await waiting[-1]
        return written(push)

    scripted = ScriptedRouter(answer)
    async with routers(scripted) as addresses, Router(*addresses, bounds=PushBounds(in_flight=4)) as router:
        pushing = [asyncio.ensure_future(router.push(user="u", event="e", data=number)) for number in range(4)]
        held = asyncio.ensure_future(router.push(user="u", event="e", data="held"))
        await asyncio.gather(*pushing)
        assert most == 4
        await held
    assert scripted.pushes[-1].data == b'"held"'
    assert all(len(message.pushes) <= 4 for message in scripted.messages)


async def test_a_router_killed_amid_1000_pushes_loses_none():
    silent: set[str] = set()

    async def half(push):
        if len(silent) % 2 or len(first.pushes) > 300:
            silent.add(push.push_id)
            await asyncio.Event().wait()
        silent.add(push.push_id)
        return written(push)

    first, second = ScriptedRouter(half), ScriptedRouter()
    bounds = PushBounds(message_pushes=16)
    async with routers(second) as addresses:
        await first.start()
        async with Router(first.address, *addresses, bounds=bounds) as router:
            pushing = [asyncio.ensure_future(router.push(file="f", event="e", data=n)) for n in range(1000)]
            while len(first.pushes) < 400:
                await asyncio.sleep(0)
            await first.kill()
            reports = await asyncio.gather(*pushing)
    assert all(report.counts == {Outcome.WRITTEN: 1} for report in reports)
    again = [int(push.data) for push in second.pushes]
    assert again == sorted(again)  # still in call order
    answered = {push.push_id for push in first.pushes} - {push.push_id for push in second.pushes}
    assert {int(p.data) for p in first.pushes if p.push_id in answered} | set(again) == set(range(1000))
    ids = {int(push.data): push.push_id for push in first.pushes}
    repeated = [push for push in second.pushes if int(push.data) in ids]
    assert repeated
    assert all(push.push_id == ids[int(push.data)] for push in repeated)
    assert all(0 < push.ttl.ToNanoseconds() < 30e9 for push in repeated)  # the rest of the ttl


async def test_a_router_that_restarts_at_its_address_is_used_again():
    scripted = await ScriptedRouter(lambda push: asyncio.Event().wait()).start()
    async with Router(scripted.address) as router:
        pushing = asyncio.ensure_future(router.push(user="u", event="e"))
        while not scripted.pushes:
            await asyncio.sleep(0)
        await scripted.kill()
        successor = await ScriptedRouter().start(scripted.address)
        assert (await pushing).counts == {Outcome.WRITTEN: 1}
        await successor.kill()


async def test_without_any_router_a_push_is_unavailable_when_its_time_is_over():
    scripted = await ScriptedRouter().start()
    await scripted.kill()
    async with Router(scripted.address, bounds=QUICK) as router:
        with pytest.raises(Unavailable, match="it was not sent"):
            await router.push(user="u", event="e", ttl=0.1)


async def test_a_missing_report_on_a_silent_stream_moves_to_the_next_router():
    silent, second = ScriptedRouter(lambda push: asyncio.Event().wait()), ScriptedRouter()
    async with routers(silent, second) as addresses, Router(*addresses, bounds=QUICK) as router:
        long = asyncio.ensure_future(router.push(user="u", event="long", ttl=20))
        with pytest.raises(Unavailable, match="may or may not"):
            await router.push(user="u", event="short", ttl=0.1)
        assert (await long).counts == {Outcome.WRITTEN: 1}
    assert [push.event for push in second.pushes] == ["long"]


async def test_the_error_after_a_silent_stream_names_the_router_that_was_silent():
    silent = ScriptedRouter(lambda push: asyncio.Event().wait())
    async with routers(silent) as addresses, Router(*addresses, bounds=QUICK) as router:
        for what in ("no router answered", f"{silent.address} sends no reports"):
            with pytest.raises(Unavailable, match=what):
                await router.push(user="u", event="e", ttl=0.05)


async def test_a_router_that_ends_its_stream_without_an_error_is_left_for_the_next_one():
    class Leaving(ScriptedRouter):
        async def PushStream(self, requests, context):
            self.messages.append(await anext(requests))
            if False:
                yield

    leaving, second = Leaving(), ScriptedRouter()
    async with routers(leaving, second) as addresses, Router(*addresses) as router:
        assert (await router.push(user="u", event="e")).counts == {Outcome.WRITTEN: 1}
    assert [len(leaving.pushes), len(second.pushes)] == [1, 1]


async def test_a_push_that_breaks_every_stream_is_given_up(monkeypatch):
    class Breaking(ScriptedRouter):
        async def PushStream(self, requests, context):
            self.messages.append(await anext(requests))
            await context.abort(grpc.StatusCode.INTERNAL, "it broke")
            yield

    monkeypatch.setattr("homing.client.push_stream.MAX_ATTEMPTS", 2)
    breaking = Breaking()
    async with routers(breaking) as addresses, Router(*addresses) as router:
        with pytest.raises(Unavailable, match="it broke; it was sent 2 times, and it may or may not"):
            await router.push(user="u", event="e")
    assert len(breaking.pushes) == 2


async def test_reports_that_nobody_waits_for_are_passed_over():
    class Repeating(ScriptedRouter):
        async def PushStream(self, requests, context):
            async for message in requests:
                reports = [written(push) for push in message.pushes]
                yield pb.PushStreamResponse(reports=[pb.PushReport(push_id="another"), *reports, *reports])

    async with routers(Repeating()) as addresses, Router(*addresses) as router:
        for _ in range(2):
            assert (await router.push(user="u", event="e")).counts == {Outcome.WRITTEN: 1}


async def test_a_cancelled_push_is_not_sent_again():
    silent, second = ScriptedRouter(lambda push: asyncio.Event().wait()), ScriptedRouter()
    async with routers(second) as addresses:
        await silent.start()
        async with Router(silent.address, *addresses) as router:
            left = asyncio.ensure_future(router.push(user="u", event="left"))
            stays = asyncio.ensure_future(router.push(user="u", event="stays"))
            while len(silent.pushes) < 2:
                await asyncio.sleep(0)
            left.cancel()
            await asyncio.gather(left, return_exceptions=True)
            await silent.kill()
            await stays
    assert [push.event for push in second.pushes] == ["stays"]


async def test_a_push_cancelled_in_the_queue_is_never_sent():
    gate = asyncio.Event()

    async def answer(push):
        await gate.wait()
        return written(push)

    scripted = ScriptedRouter(answer)
    async with routers(scripted) as addresses, Router(*addresses, bounds=PushBounds(in_flight=1)) as router:
        first = asyncio.ensure_future(router.push(user="u", event="first"))
        left = asyncio.ensure_future(router.push(user="u", event="left"))
        while not scripted.pushes:
            await asyncio.sleep(0)
        left.cancel()
        gate.set()
        await first
        await router.push(user="u", event="last")
    assert [push.event for push in scripted.pushes] == ["first", "last"]


async def test_a_pending_push_id_and_invalid_arguments_raise_before_anything_is_sent():
    gate = asyncio.Event()

    async def answer(push):
        await gate.wait()
        return written(push)

    scripted = ScriptedRouter(answer)
    async with routers(scripted) as addresses, Router(*addresses) as router:
        first = asyncio.ensure_future(router.push(user="u", event="e", push_id="one"))
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="under way"):
            await router.push(user="u", event="e", push_id="one")
        gate.set()
        assert (await first).push_id == "one"
        assert (await router.push(user="u", event="e", push_id="one")).push_id == "one"
        with pytest.raises(TypeError, match="exactly one"):
            await router.push(event="e")
        with pytest.raises(TypeError, match="exactly one"):
            await router.push(user="u", file="f", event="e")
        with pytest.raises(TypeError, match="must be bytes"):
            await router.push(user="u", event="e", data={"n": 1}, content_type="image/png")
        with pytest.raises(Refused, match="at most") as refused:
            await router.push(user="u", event="e", data=b"x" * MAX_PUSH_BYTES, content_type="image/png")
        assert refused.value.field == "data"
    assert len(scripted.pushes) == 2
    with pytest.raises(Unavailable, match="closed"):
        await router.push(user="u", event="e")


async def test_closing_fails_pending_pushes():
    silent = ScriptedRouter(lambda push: asyncio.Event().wait())
    async with routers(silent) as addresses:
        router = Router(*addresses)
        pushing = asyncio.ensure_future(router.push(user="u", event="e"))
        while not silent.pushes:
            await asyncio.sleep(0)
        await router.close()
        with pytest.raises(Unavailable, match="closed"):
            await pushing


async def test_a_permanent_error_of_the_stream_is_raised_at_once():
    class Closed(ScriptedRouter):
        async def PushStream(self, requests, context):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            yield

    async with routers(Closed()) as addresses, Router(*addresses) as router:
        with pytest.raises(Refused, match="who are you"):
            await router.push(user="u", event="e")


async def test_the_other_calls_carry_their_fields_and_answers():
    scripted = ScriptedRouter()
    scripted.replies = {
        "Locate": pb.LocateResponse(routes=[pb.Route(node="g0", epoch=9, sessions=2, source=pb.Route.SCATTER)]),
        "Join": pb.JoinResponse(sessions=2),
        "Leave": pb.LeaveResponse(sessions=1),
        "Disconnect": pb.DisconnectResponse(sessions=3),
        "Reply": pb.ReplyResponse(outcome=pb.Delivery.WRITTEN),
        "Presence": lambda request: pb.PresenceResponse(
            sessions=[pb.PresentSession(session=len(request.page_token) + 1, user="ada", node="g0")],
            total=3,
            next_page_token=request.page_token + "x" if len(request.page_token) < 2 else "",
        ),
    }
    async with routers(scripted) as addresses, Router(*addresses) as router:
        located = await router.locate(file="notes")
        assert [(r.node, r.epoch, r.sessions, r.source) for r in located.routes] == [("g0", 9, 2, "SCATTER")]
        assert await router.join("notes", user="ada") == 2
        assert await router.leave("notes", session=5) == 1
        assert await router.disconnect(everyone=True, reason="night", allow_reconnect=True) == 3
        assert await router.reply(5, 6, {"a": 1}) is Outcome.WRITTEN
        assert await router.reply(5, 6, error=("busy", "later")) is Outcome.WRITTEN
        pages = [page async for page in router.presence(file="notes", page_size=1)]
    assert [page.sessions[0].session for page in pages] == [1, 2, 3]
    _, join, leave, disconnect, reply, failed, *_ = scripted.calls
    assert (join.target.user, join.file, leave.target.session) == ("ada", "notes", 5)
    assert (disconnect.target.everyone, disconnect.reason, disconnect.allow_reconnect) == (True, "night", True)
    assert (reply.session, reply.ack, reply.data, reply.HasField("error")) == (5, 6, b'{"a":1}', False)
    assert (failed.error.code, failed.error.message, failed.data) == ("busy", "later", b"")


async def test_a_refused_call_names_the_field_and_a_dead_router_is_skipped():
    gone, scripted = await ScriptedRouter().start(), ScriptedRouter()
    await gone.kill()
    trailing = (("homing-field", "file"), ("retry-after-ms", "250"))
    scripted.replies = {"Join": (grpc.StatusCode.INVALID_ARGUMENT, "file: too long", trailing)}
    async with routers(scripted) as addresses, Router(gone.address, *addresses) as router:
        with pytest.raises(Refused) as refused:
            await router.join("f" * 300, user="ada")
    error = refused.value
    assert (error.code, error.field, error.retry_after) == ("INVALID_ARGUMENT", "file", 0.25)


async def test_a_watch_survives_a_routers_death_and_yields_only_changes():
    def came(session):
        return pb.WatchResponse(came=pb.PresentSession(session=session, user="ada", node="g0"))

    first, second = ScriptedRouter(), ScriptedRouter()
    first.watched = [[came(1), came(2), pb.WatchResponse(synced=True), came(3)]]
    second.watched = [[came(2), came(4), pb.WatchResponse(synced=True), pb.WatchResponse(left=2)]]
    changes = []
    async with routers(second) as addresses:
        await first.start()
        async with Router(first.address, *addresses) as router:
            watching = router.watch_user("ada")
            async for change in watching:
                changes.append(change)
                if isinstance(change, SessionConnected) and change.present.session == 3:
                    await first.kill()
                if change == SessionDisconnected(2):
                    break
            await watching.aclose()
    sessions = [change.present.session if isinstance(change, SessionConnected) else change for change in changes]
    assert sessions == [1, 2, Synced(), 3, 4, SessionDisconnected(1), SessionDisconnected(3), SessionDisconnected(2)]


async def test_nodes_are_watched_and_a_refused_watch_raises():
    scripted = ScriptedRouter()
    state = pb.NodeState(node="g0", epoch=4, sessions=2, counters={"pushes": 7})
    scripted.watched = [[pb.WatchResponse(node_up=state), pb.WatchResponse(synced=True)]]
    async with routers(scripted) as addresses, Router(*addresses) as router:
        watching = router.watch_nodes()
        up = await anext(watching)
        assert isinstance(up, NodeUp)
        assert (up.state.node, up.state.epoch, up.state.counters) == ("g0", 4, {"pushes": 7})
        assert await anext(watching) == Synced()
        await watching.aclose()
    assert scripted.calls[0].nodes


async def test_a_push_continues_the_trace_of_the_current_event():
    scripted = ScriptedRouter()
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with routers(scripted) as addresses, Router(*addresses) as router:
        with trace_of({b"traceparent": traceparent.encode()}):
            await router.push(user="u", event="within")
            await router.push(user="u", event="other", traceparent="")
        await router.push(user="u", event="after")
    assert [push.traceparent for push in scripted.pushes] == [traceparent, "", ""]


async def test_the_sync_router_pushes_from_many_threads_over_one_stream():
    scripted = ScriptedRouter()
    scripted.replies = {
        "Join": (grpc.StatusCode.INVALID_ARGUMENT, "no", ()),
        "Presence": pb.PresenceResponse(sessions=[pb.PresentSession(session=1)], total=1),
    }
    scripted.watched = [[pb.WatchResponse(synced=True)]]
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    def script(addresses: list[str]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        with SyncRouter(*addresses) as router, ThreadPoolExecutor(8) as threads:
            reports = list(threads.map(lambda n: router.push(user="u", event="e", data=n), range(200)))
            assert all(report.counts == {Outcome.WRITTEN: 1} for report in reports)
            with trace_of([("traceparent", traceparent)]):
                router.push(user="u", event="traced")
            with pytest.raises(Refused):
                router.join("f", user="u")
            assert [page.total for page in router.presence(user="u")] == [1]
            assert next(router.watch_user("u")) == Synced()
        with pytest.raises(Unavailable):
            router.push(user="u", event="e")
        router.close()

    async with routers(scripted) as addresses:
        await asyncio.to_thread(script, addresses)
    assert scripted.streams == 1
    assert len(scripted.pushes) == 201
    assert scripted.pushes[-1].traceparent == traceparent
