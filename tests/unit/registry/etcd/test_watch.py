"""A watch over streams that a test scripts: when it is opened again, from where, and when it is over."""

import asyncio
from contextlib import aclosing

import pytest

from registry.etcd import watch
from registry.etcd.client import EtcdClient, EtcdSettings
from registry.etcd.v1 import etcd_pb2 as pb
from registry.etcd.watch import watch_prefix
from registry.store import Changes, Compacted, StoreRefused, StoreUnavailable

CREATED = pb.WatchResponse(created=True, header=pb.ResponseHeader(revision=90))


def change(revision: int, fragment: bool = False) -> pb.WatchResponse:
    kv = pb.KeyValue(key=b"/k", value=b"%d" % revision, create_revision=1, mod_revision=revision)
    return pb.WatchResponse(events=[pb.Event(kv=kv)], fragment=fragment, header=pb.ResponseHeader(revision=revision))


def progress(revision: int, watch_id: int = 0) -> pb.WatchResponse:
    return pb.WatchResponse(watch_id=watch_id, header=pb.ResponseHeader(revision=revision))


def canceled(reason: str = "", compact_revision: int = 0) -> pb.WatchResponse:
    return pb.WatchResponse(canceled=True, cancel_reason=reason, compact_revision=compact_revision)


class ScriptedStream:
    """Gives its responses in turn; an exception is raised, and after the last one nothing comes."""

    def __init__(self, *script: pb.WatchResponse | Exception) -> None:
        self.script = list(script)
        self.created: pb.WatchCreateRequest | None = None
        self.cancelled = 0

    def write(self, request: pb.WatchRequest) -> None:
        self.created = request.create_request

    async def read(self) -> pb.WatchResponse:
        if not self.script:
            await asyncio.Event().wait()
        found = self.script.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def cancel(self) -> None:
        self.cancelled += 1


class Rig:
    """The streams that a watch will be given, and those it has opened."""

    def __init__(self, *streams: ScriptedStream | Exception) -> None:
        self.client = EtcdClient(EtcdSettings(endpoints=("h1:1", "h2:2")))
        self.streams = list(streams)
        self.opened: list[ScriptedStream] = []

    async def open_stream(self, _client: EtcdClient, _method: object, _metadata: object) -> ScriptedStream:
        found = self.streams.pop(0)
        if isinstance(found, Exception):
            raise found
        self.opened.append(found)
        return found

    async def read(self, number: int) -> list[Changes]:
        """The first changes of a watch from revision 5 on."""
        async with aclosing(watch_prefix(self.client, b"/", b"0", 5)) as changes:
            return [await anext(changes) for _ in range(number)]

    def starts(self) -> list[int]:
        """The revisions from which the watch was opened."""
        return [stream.created.start_revision for stream in self.opened if stream.created is not None]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watch, "FIRST_PAUSE", 0.0)

    def make(*streams: ScriptedStream | Exception) -> Rig:
        rig = Rig(*streams)
        monkeypatch.setattr(watch, "open_stream", rig.open_stream)
        return rig

    return make


async def test_a_watch_resumes_after_the_last_revision_that_was_yielded(made) -> None:
    gone = StoreUnavailable("the connection is cut")
    rig = made(ScriptedStream(CREATED, change(7), gone), ScriptedStream(CREATED, change(9)))
    assert [changes.revision for changes in await rig.read(2)] == [7, 9]
    assert rig.starts() == [5, 8]
    assert [stream.cancelled for stream in rig.opened] == [1, 1]


async def test_an_opening_that_cannot_be_checked_is_tried_again_and_shows_nothing(made) -> None:
    rig = made(ScriptedStream(CREATED, change(7)), ScriptedStream(CREATED, change(8)))
    unchecked = [StoreUnavailable("the read was lost")]

    async def on_open() -> None:
        if unchecked:
            raise unchecked.pop()

    async with aclosing(watch_prefix(rig.client, b"/", b"0", 5, on_open)) as changes:
        assert (await anext(changes)).revision == 8
    assert rig.starts() == [5, 5]


async def test_a_server_that_cancels_the_watch_has_it_opened_again(made) -> None:
    rig = made(ScriptedStream(CREATED, change(7), canceled("server is going away")), ScriptedStream(CREATED, change(8)))
    assert [changes.revision for changes in await rig.read(2)] == [7, 8]


async def test_a_watch_that_is_not_opened_is_tried_again(made) -> None:
    rig = made(
        StoreUnavailable("no connection"),
        ScriptedStream(canceled("too many watches")),
        ScriptedStream(StoreUnavailable("cut at once")),
        ScriptedStream(CREATED, change(5)),
    )
    assert [changes.revision for changes in await rig.read(1)] == [5]
    assert rig.starts() == [5, 5, 5]


async def test_a_member_that_is_silent_is_left_for_the_next_one(made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "OPEN_TIMEOUT", 0.001)
    rig = made(ScriptedStream(), ScriptedStream(CREATED, change(5)))
    switched: list[str] = []
    monkeypatch.setattr(rig.client, "switch_endpoint", lambda: switched.append("next"))
    assert [changes.revision for changes in await rig.read(1)] == [5]
    assert (switched, rig.opened[0].cancelled) == (["next"], 1)


@pytest.mark.parametrize("opened", [False, True], ids=["at its opening", "later"])
async def test_compacted_history_and_a_refusal_end_the_watch(made, opened: bool) -> None:
    before = (CREATED,) if opened else ()
    with pytest.raises(Compacted):
        await made(ScriptedStream(*before, canceled(compact_revision=40))).read(1)
    with pytest.raises(StoreRefused, match=r"h1:1.*permission denied.*grant the user read"):
        await made(ScriptedStream(*before, canceled("etcdserver: permission denied"))).read(1)


async def test_fragments_of_one_revision_come_together_and_progress_moves_the_start(made) -> None:
    first = ScriptedStream(CREATED, change(7, fragment=True), change(7), progress(60, watch_id=-1), progress(30))
    first.script.append(StoreUnavailable("cut"))
    rig = made(first, ScriptedStream(CREATED, change(50)))
    whole, report, later = await rig.read(3)
    assert (whole.revision, len(whole.changes)) == (7, 2)
    assert (report.revision, report.changes) == (30, [])  # what was requested (id -1) may be ahead of changes
    assert (later.revision, rig.starts()) == (50, [5, 31])
