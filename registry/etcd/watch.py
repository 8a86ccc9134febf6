"""A watch without gaps: whatever happens to the connection, the watch resumes after what was yielded.

A watch resumes one past the revision of the last change that was *yielded*, or of a progress report that came in order
with the changes. Not past the revision of the `created` response, which may be far ahead of events that are still to
come; and not past that of a requested progress report (watch id -1), which etcd before 3.4.25 and 3.5.8 sends ahead of
events that wait (etcd-io/etcd#15220). Fragments of one revision are joined, so the changes of a transaction come
together. With `hasleader`, a member that is cut off from its cluster ends the watch.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator

from registry.etcd.client import WATCH, EtcdClient
from registry.etcd.stream import EtcdStream, open_stream
from registry.etcd.v1 import etcd_pb2 as pb
from registry.store import Change, Changes, Compacted, Entry, OnOpen, StoreRefused, StoreUnavailable, ignore_open

log = logging.getLogger(__name__)

OPEN_TIMEOUT = 3.0  # seconds until the `created` response; a member that accepts and is silent counts as unavailable
FIRST_PAUSE, MAX_PAUSE = 0.05, 1.0  # seconds before the watch is opened again

_Watch = EtcdStream[pb.WatchRequest, pb.WatchResponse]


async def watch_prefix(
    client: EtcdClient, start_key: bytes, end_key: bytes, start: int, on_open: OnOpen = ignore_open
) -> AsyncGenerator[Changes, None]:
    """See `registry.store.Store.watch_prefix`; the keys are those in [start_key, end_key)."""
    resume = start
    pause = FIRST_PAUSE
    while True:
        stream = None
        try:
            stream = await _open(client, start_key, end_key, resume)
            client.availability.answered()
            await on_open()
            pause = FIRST_PAUSE
            while (changes := await _read(stream, client)) is not None:
                resume = changes.revision + 1
                yield changes
        except StoreUnavailable as error:
            log.debug("watch from revision %d is interrupted: %s", resume, error)
            if stream is None:
                client.availability.failed(str(error))
        finally:
            if stream is not None:
                stream.cancel()
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(pause * 2, MAX_PAUSE)


async def _open(client: EtcdClient, start_key: bytes, end_key: bytes, resume: int) -> _Watch:
    stream: _Watch = await open_stream(client, WATCH, [(b"hasleader", b"true")])
    create = pb.WatchCreateRequest(
        key=start_key, range_end=end_key, start_revision=resume, progress_notify=True, fragment=True
    )
    try:
        async with asyncio.timeout(OPEN_TIMEOUT):
            stream.write(pb.WatchRequest(create_request=create))
            response = await stream.read()
    except TimeoutError:
        stream.cancel()
        client.switch_endpoint()
        raise StoreUnavailable(f"etcd at {client.address} does not open the watch") from None
    except BaseException:
        stream.cancel()
        raise
    if response.created and not response.canceled:
        return stream
    stream.cancel()
    _check_canceled(response, client)
    raise StoreUnavailable(f"etcd at {client.address} does not open the watch: {response.cancel_reason}")


async def _read(stream: _Watch, client: EtcdClient) -> Changes | None:
    """The next changes, whole. None: the server has cancelled the watch, which may be opened again."""
    events: list[pb.Event] = []
    while True:
        response = await stream.read()
        if response.canceled or response.compact_revision:
            _check_canceled(response, client)
            return None
        if response.watch_id < 0:
            continue
        events.extend(response.events)
        if response.fragment:
            continue
        if events:
            return Changes(events[-1].kv.mod_revision, [_change(event) for event in events])
        return Changes(response.header.revision, [])


def _check_canceled(response: pb.WatchResponse, client: EtcdClient) -> None:
    if response.compact_revision:
        raise Compacted(response.compact_revision)
    if response.canceled and "permission denied" in response.cancel_reason:
        reason = f"etcd at {client.address} refused the watch: {response.cancel_reason}"
        raise StoreRefused(f"{reason}; grant the user read")


def to_text(key: bytes) -> str:
    """A key as text; bytes that are not UTF-8, which no process of Homing writes, become lone surrogates."""
    return key.decode(errors="surrogateescape")


def _change(event: pb.Event) -> Change:
    kv = event.kv
    deleted = event.type == pb.Event.DELETE
    entry = Entry(to_text(kv.key), kv.value, 0 if deleted else kv.create_revision, kv.mod_revision, kv.lease)
    return Change(entry, deleted)
