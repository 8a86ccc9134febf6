"""What a web page elsewhere makes a browser send is refused; callers that are no browsers see no difference."""

from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from runtime.process.browser_requests import is_own_host, refuse_pages


async def answer(method: str, headers: Mapping[str, str], **lists: Any) -> int:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=200)

    request = make_mocked_request(method, "/v1/disconnect", headers=dict(headers))
    return (await refuse_pages(**lists)(request, handler)).status


GOOD = {"Host": "127.0.0.1:8501", "Content-Type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8501", "[::1]:8501", "10.1.2.3", "localhost", "LOCALHOST:1", "router.internal:1"]
)
async def test_an_address_localhost_or_a_listed_name_may_be_the_host(host: str) -> None:
    assert await answer("POST", GOOD | {"Host": host}, hosts=("router.internal",)) == 200


@pytest.mark.parametrize(
    "host", ["", "rebound.example:8501", "127.0.0.1.example", "localhost.example", "a:b:c", "1.2.3"]
)
async def test_dns_rebinding_is_refused(host: str) -> None:
    assert not is_own_host(host, ())
    assert await answer("GET", GOOD | {"Host": host}) == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:8501", ""])
async def test_a_page_of_an_origin_that_is_not_listed_is_refused(origin: str) -> None:
    assert await answer("POST", GOOD | {"Origin": origin}) == 403
    assert await answer("GET", GOOD | {"Origin": origin}) == 403


async def test_a_listed_page_may_call() -> None:
    origin = "https://admin.example"
    assert await answer("POST", GOOD | {"Origin": origin}, origins=(origin,)) == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
async def test_a_simple_request_changes_nothing(kind: str | None) -> None:
    headers = {"Host": "127.0.0.1"} | ({"Content-Type": kind} if kind else {})
    assert await answer("POST", headers) == 415
    assert await answer("GET", headers) == 200
