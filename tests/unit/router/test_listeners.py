"""A router's listeners: where they may be, and in which order they close."""

import pytest

from router.config import RouterSection
from router.listeners import Listeners
from runtime.process.lifecycle import StartupError


class FakeListener:
    """Opens nothing; records what was called."""

    def __init__(self, name: str, record: list[str], error: OSError | None = None) -> None:
        self._name = name
        self._record = record
        self._error = error

    async def listen(self, host: str, port: int) -> str:
        if self._error is not None:
            raise self._error
        self._record.append(f"{self._name} opens {host} {port}")
        return f"{host}:{port or 4242}"

    async def close(self, grace: float | None = None) -> None:
        self._record.append(f"{self._name} closes" if grace is None else f"{self._name} closes within {grace}")


def make(record: list[str], admin_error: OSError | None = None, **addresses: str) -> Listeners:
    section = RouterSection(**addresses)
    grpc_api, http_api = FakeListener("grpc", record), FakeListener("http", record)
    return Listeners(section, grpc_api, http_api, FakeListener("admin", record, admin_error))


async def test_each_listener_has_an_address_of_its_own_and_only_the_api_must_be_on_loopback() -> None:
    record: list[str] = []
    listeners = make(record, grpc="[::1]:0", http="localhost:2", admin="0.0.0.0:3")
    assert await listeners.open() == ("::1:4242", "localhost:2", "0.0.0.0:3")
    assert record == ["grpc opens ::1 0", "http opens localhost 2", "admin opens 0.0.0.0 3"]


def test_the_defaults_are_three_ports_on_loopback() -> None:
    section = RouterSection()
    assert (section.grpc, section.http, section.admin) == ("127.0.0.1:8500", "127.0.0.1:8501", "127.0.0.1:8502")


@pytest.mark.parametrize("field", ["grpc", "http"])
async def test_an_api_that_other_machines_can_reach_is_refused_before_anything_is_opened(field: str) -> None:
    record: list[str] = []
    with pytest.raises(StartupError, match=f"router.{field}: 10.0.0.1:1 is not loopback"):
        await make(record, **{field: "10.0.0.1:1"}).open()
    assert record == []


async def test_a_port_in_use_is_named() -> None:
    with pytest.raises(StartupError, match=r"router\.admin: cannot listen on 127\.0\.0\.1:3"):
        await make([], admin_error=OSError(98, "in use"), admin="127.0.0.1:3").open()


async def test_the_admin_listener_stays_open_while_calls_end() -> None:
    record: list[str] = []
    listeners = make(record)
    await listeners.close_api(5)
    assert record == ["grpc closes within 5", "http closes"]
    await listeners.close()
    assert record[2:] == ["grpc closes within 0", "http closes", "admin closes"]
