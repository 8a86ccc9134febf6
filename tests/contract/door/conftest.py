"""The door is tested on the loop that it runs on in production."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvloop

TIME_LIMIT = 15.0  # seconds for a test


def pytest_asyncio_loop_factories(config, item):
    """Every test of this folder on uvloop."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
async def _time_limit() -> AsyncIterator[None]:
    """Cancels a test that takes too long: pytest's own limit is a signal, which an idle uvloop does not handle."""
    loop = asyncio.get_running_loop()

    def cancel_all() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel(f"the test has not ended within {TIME_LIMIT:.0f} s")

    timer = loop.call_later(TIME_LIMIT, cancel_all)
    yield
    timer.cancel()
