"""Shell: what every client of Redis needs here: a connection without retries, and the error of its failures."""

from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from runtime.bus.port import BusUnavailable
from runtime.bus.settings import BusSection

FAILURES = (RedisError, OSError, TimeoutError)
"""What redis-py raises while Redis is unavailable."""


def connect(bus: BusSection) -> Redis:
    """Without retries in the library: the caller must know when something may be lost."""
    return Redis.from_url(
        bus.redis,
        socket_timeout=bus.timeout,
        socket_connect_timeout=bus.timeout,
        retry=Retry(NoBackoff(), 0),
    )


def unavailable(bus: BusSection, error: BaseException) -> BusUnavailable:
    """The error when Redis does not answer: its address, why, and how one is started."""
    reason = str(error) or type(error).__name__
    where = without_password(bus.redis)
    return BusUnavailable(f"bus.redis: {where} does not answer ({reason}); is Redis running? `homing up` starts one")


def without_password(url: str) -> str:
    """The URL without user and password, for logs and errors."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


async def check(bus: BusSection) -> None:
    """One PING over a new connection. Raises BusUnavailable."""
    redis = connect(bus)
    try:
        await redis.ping()
    except FAILURES as error:
        raise unavailable(bus, error) from None
    finally:
        await redis.aclose()
