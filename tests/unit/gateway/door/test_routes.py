"""Which handler serves which path."""

import pytest

from gateway.door.development import is_page
from gateway.door.head import Head
from gateway.door.ports import PendingRequest
from gateway.door.routes import Routes


class Handler:
    def serve(self, request: PendingRequest, head: Head, behind: bytes) -> None: ...
    async def close(self) -> None: ...


WEBSOCKET, POLLING, PAGES = Handler(), Handler(), Handler()
ROUTES = Routes({"/ws": WEBSOCKET, "/engine.io/": POLLING, "/socket.io/": POLLING}, ((is_page, PAGES),))


@pytest.mark.parametrize("path", ["/ws/", "/WS", "/%77s", "/wsx", "//ws", "/engine.io", "*"])
def test_an_unknown_path_has_no_handler(path: str) -> None:
    assert ROUTES.find(path) is None


def test_known_paths() -> None:
    assert ROUTES.find("/ws") is WEBSOCKET
    assert ROUTES.find("/socket.io/") is POLLING
    assert ROUTES.find("/homing.js") is ROUTES.find("/v1/push") is PAGES


def test_a_handler_of_two_paths_is_closed_once() -> None:
    assert ROUTES.handlers() == [WEBSOCKET, POLLING, PAGES]
