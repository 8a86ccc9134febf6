"""The door is tested on the loop that it runs on in production."""

import uvloop


def pytest_asyncio_loop_factories(config, item):
    """Every test of this folder on uvloop."""
    return {"uvloop": uvloop.new_event_loop}
