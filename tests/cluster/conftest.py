"""One cluster that the tests here share: two of them cost more than all that most tests do."""

from collections.abc import Iterator

import pytest

from tests.support.up import Up


@pytest.fixture(scope="session")
def shared_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`homing up --gateways 3`. Tests take users and files of their own, and break nothing."""
    with Up(tmp_path_factory.mktemp("up"), "--gateways", "3") as up:
        yield up
