"""Checks a Redis that the user runs: services start without one, so nobody else would say that it is not there."""

from urllib.parse import urlsplit

from homing.cluster.errors import CommandError

TIMEOUT = 3.0  # seconds


async def check(url: str) -> None:
    """One PING. CommandError: Redis does not answer, refuses the password, or the client library is not installed."""
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError
    except ModuleNotFoundError:
        raise CommandError("the package redis is missing: pip install 'homing[up]'") from None
    try:
        client = Redis.from_url(
            url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=Retry(NoBackoff(), 0)
        )
    except ValueError as error:
        raise CommandError(f"Redis: {without_password(url)} is no URL of Redis: {error}") from None
    try:
        await client.ping()
    except (RedisError, OSError, TimeoutError) as error:
        raise CommandError(_remedy(url, str(error) or type(error).__name__)) from None
    finally:
        await client.aclose()


def _remedy(url: str, reason: str) -> str:
    where = without_password(url)
    return f"Redis at {where} does not answer ({reason}); is it running there? Without --redis `homing up` starts one"


def without_password(url: str) -> str:
    """The URL without user and password, for people to read; of what is no URL, nothing."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(no URL)"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
