"""While a table is loaded no collection runs, and none visits it later."""

import gc

import pytest

from runtime.process.garbage import no_collections


def fail() -> None:
    with no_collections():
        assert not gc.isenabled()
        raise ValueError("of the load")


def test_collections_are_off_meanwhile_and_on_again_after_an_error() -> None:
    before = gc.get_freeze_count()
    try:
        with pytest.raises(ValueError, match="of the load"):
            fail()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with no_collections():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
