"""Answers to the fencing queries of nodes that may have lapsed."""

import asyncio

from homing.internal.v1.node_pb2 import Fencing
from registry.lease_state import FencingAnswer
from registry.model import Incarnation
from router.hop.fencing import FencingQueries
from tests.support.table import TableFeed


async def test_alive_and_fenced_are_read_each_time() -> None:
    feed = TableFeed()
    incarnation, queries = feed.node("one"), FencingQueries(feed)
    assert await queries.answer(incarnation) == Fencing.ALIVE
    assert await queries.answer(Incarnation("one", incarnation.epoch + 7)) == Fencing.FENCED
    feed.node_gone("one")
    assert await queries.answer(incarnation) == Fencing.FENCED
    assert feed.reads == 3
    await queries.close()


async def test_away_is_answered_at_once_after_the_first_time_until_the_store_is_back() -> None:
    feed = TableFeed()
    incarnation, queries = feed.node("one"), FencingQueries(feed)
    feed.forced_answer = FencingAnswer.AWAY
    assert await queries.answer(incarnation) == Fencing.AWAY
    assert await queries.answer(incarnation) == Fencing.AWAY
    assert feed.reads == 1  # the second answer did not wait for a read
    await asyncio.sleep(0)
    assert feed.reads == 2  # which runs in the background
    feed.forced_answer = None
    assert await queries.answer(incarnation) == Fencing.AWAY
    await asyncio.sleep(0)
    assert await queries.answer(incarnation) == Fencing.ALIVE
    await queries.close()
