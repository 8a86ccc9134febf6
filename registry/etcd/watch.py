"""A watch without gaps: what was not yielded is asked for again, whatever happens to the connection.

The one number that matters is where to resume. It is one past the revision of the last change that was *yielded*, or of
a progress report that came in order with the changes. Never that of the `created` reply, whose revision may be far past
events that are still to come, and never that of a report which somebody asked for (watch id -1): etcd before 3.4.25 and
3.5.8 sends those past events that wait (etcd-io/etcd#15220). Fragments of one revision are gathered first, so a change
is never seen without the others of its transaction. `hasleader` makes a member that is cut off end the watch.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator

from registry.etcd.client import WATCH, EtcdClient
from registry.etcd.stream import EtcdStream, open_stream
from registry.etcd.v1 import etcd_pb2 as pb
from registry.store import Change, Changes, Compacted, Entry, StoreAway, StoreRefused

log = logging.getLogger(__name__)

OPEN_WITHIN = 3.0  # seconds for the `created` reply: a member that accepts and says nothing is as good as gone
BACK_OFF = (0.05, 1.0)  # seconds: the first and the longest pause before the watch is opened again

_Watch = EtcdStream[pb.WatchRequest, pb.WatchResponse]


async def watch_prefix(
    client: EtcdClient, start_key: bytes, end_key: bytes, start: int
) -> AsyncGenerator[Changes, None]:
    """Every change in [start_key, end_key) from revision `start` on. Compacted when history is gone; else for ever."""
    resume = start
    pause = BACK_OFF[0]
    while True:
        stream = None
        try:
            stream = await _open(client, start_key, end_key, resume)
            pause = BACK_OFF[0]
            while (changes := await _next(stream, client)) is not None:
                resume = changes.revision + 1
                yield changes
        except StoreAway as error:
            log.info("watch from revision %d is interrupted: %s", resume, error)
        finally:
            if stream is not None:
                stream.cancel()
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(pause * 2, BACK_OFF[1])


async def _open(client: EtcdClient, start_key: bytes, end_key: bytes, resume: int) -> _Watch:
    stream: _Watch = await open_stream(client, WATCH, [(b"hasleader", b"true")])
    create = pb.WatchCreateRequest(
        key=start_key, range_end=end_key, start_revision=resume, progress_notify=True, fragment=True
    )
    try:
        async with asyncio.timeout(OPEN_WITHIN):
            stream.write(pb.WatchRequest(create_request=create))
            reply = await stream.read()
    except TimeoutError:
        stream.cancel()
        client.doubt()
        raise StoreAway(f"etcd at {client.where} does not open the watch") from None
    except BaseException:
        stream.cancel()
        raise
    if reply.created and not reply.canceled:
        return stream
    stream.cancel()
    _check(reply, client)
    raise StoreAway(f"etcd at {client.where} does not open the watch: {reply.cancel_reason}")


async def _next(stream: _Watch, client: EtcdClient) -> Changes | None:
    """The next changes, whole; None when the server has cancelled the watch and it may be opened again."""
    events: list[pb.Event] = []
    while True:
        reply = await stream.read()
        if reply.canceled or reply.compact_revision:
            _check(reply, client)
            return None
        if reply.watch_id < 0:
            continue
        events.extend(reply.events)
        if reply.fragment:
            continue
        if events:
            return Changes(events[-1].kv.mod_revision, [_change(event) for event in events])
        return Changes(reply.header.revision, [])


def _check(reply: pb.WatchResponse, client: EtcdClient) -> None:
    if reply.compact_revision:
        raise Compacted(reply.compact_revision)
    if reply.canceled and "permission denied" in reply.cancel_reason:
        raise StoreRefused(f"etcd at {client.where} refused the watch: {reply.cancel_reason}; grant the user read")


def _change(event: pb.Event) -> Change:
    kv = event.kv
    deleted = event.type == pb.Event.DELETE
    entry = Entry(kv.key.decode(), kv.value, 0 if deleted else kv.create_revision, kv.mod_revision, kv.lease)
    return Change(entry, deleted)
