"""What a router tells a node that may have lapsed."""

import asyncio

from homing.internal.v1.node_pb2 import Fencing
from registry.lapse import FencingAnswer
from registry.model import Incarnation
from router.hop.fencing import FencingJudge
from tests.support.table import TableFeed


async def test_alive_and_fenced_are_read_each_time() -> None:
    feed = TableFeed()
    incarnation, judge = feed.node("one"), FencingJudge(feed)
    assert await judge.judge(incarnation) == Fencing.ALIVE
    assert await judge.judge(Incarnation("one", incarnation.epoch + 7)) == Fencing.FENCED
    feed.node_gone("one")
    assert await judge.judge(incarnation) == Fencing.FENCED
    assert feed.reads == 3
    await judge.close()


async def test_away_is_answered_at_once_after_the_first_time_until_the_store_is_back() -> None:
    feed = TableFeed()
    incarnation, judge = feed.node("one"), FencingJudge(feed)
    feed.stands = FencingAnswer.AWAY
    assert await judge.judge(incarnation) == Fencing.AWAY
    assert await judge.judge(incarnation) == Fencing.AWAY
    assert feed.reads == 1  # the second answer did not wait for a read
    await asyncio.sleep(0)
    assert feed.reads == 2  # which went on behind it
    feed.stands = None
    assert await judge.judge(incarnation) == Fencing.AWAY
    await asyncio.sleep(0)
    assert await judge.judge(incarnation) == Fencing.ALIVE
    await judge.close()
