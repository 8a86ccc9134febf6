"""A dead letter that is too large for Kafka is written in a smaller form, or lost; it never blocks the router."""

from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from router.commands.command import Origin
from router.commands.dead_letters import DeadLetters
from router.push import CallRefused
from runtime.bus import kafka_client
from runtime.bus.settings import BusSection

ORIGIN = Origin("homing.commands", 0, 7)
WHY = CallRefused("INVALID_ARGUMENT", "no X-Operator")


class Record:
    headers = (("X-Large", b"x" * 100),)
    key = b"key"
    value = b"value"


class Producer:
    """Accepts records that are small enough. Refuses without a pause, as aiokafka does."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.tried: list[tuple[bytes, Any, list[str]]] = []

    async def send_and_wait(self, _topic: str, value: bytes, key: Any, headers: list[tuple[str, bytes]]) -> None:
        self.tried.append((value, key, [name for name, _ in headers]))
        if len(value) + len(key or b"") + sum(len(text) for _, text in headers) > self.most:
            raise MessageSizeTooLargeError


@pytest.mark.parametrize(("most", "tries"), [(1000, 1), (152, 2), (90, 3), (1, 3)])
async def test_smaller_letters_are_tried_until_one_fits_or_none_is_left(monkeypatch, most: int, tries: int) -> None:
    producer = Producer(most)

    async def start(_bus: BusSection) -> Producer:
        return producer

    async def end(_producer: Producer) -> None:
        """Another one is started for the next try."""

    monkeypatch.setattr(kafka_client, "start_producer", start)
    monkeypatch.setattr(kafka_client, "close_producer", end)
    await DeadLetters(BusSection(), "dead").write_dead_letter(Record(), ORIGIN, WHY)
    assert len(producer.tried) == tries
    value, key, names = producer.tried[-1]
    assert {"X-Reason", "X-Origin-Offset"} <= set(names)
    assert (value, key, "X-Large" in names) == [(b"value", b"key", True), (b"", b"key", True), (b"", None, False)][
        tries - 1
    ]
