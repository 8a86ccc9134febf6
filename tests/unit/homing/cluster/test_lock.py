import os

import pytest

from homing.cluster.lock import RunDirLock
from homing.cluster.trouble import CommandError


def test_the_second_is_told_who_holds_it(tmp_path):
    with RunDirLock(tmp_path), pytest.raises(CommandError, match=rf"in use by `homing up` with pid {os.getpid()};"):
        RunDirLock(tmp_path).__enter__()


def test_it_can_be_taken_again_after_its_end(tmp_path):
    with RunDirLock(tmp_path):
        pass
    with RunDirLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_what_a_dead_holder_left_does_not_matter(tmp_path):
    (tmp_path / "lock").write_text("99999\n")
    with RunDirLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
