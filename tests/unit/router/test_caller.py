"""Callers and their rights."""

import pytest

from router.caller import LOOPBACK, Caller, loopback
from router.push import CallRefused


def test_todays_only_caller_has_all_rights():
    assert loopback(object()) is LOOPBACK
    for right in ("push", "presence", "admin"):
        LOOPBACK.require(right)


def test_a_right_that_a_caller_does_not_have_is_named():
    with pytest.raises(CallRefused, match="caller 'reader' does not have the right 'push'") as caught:
        Caller("reader", frozenset({"presence"})).require("push")
    assert caught.value.code == "PERMISSION_DENIED"
