import os

import pytest

from homing.cluster.errors import CommandError
from homing.cluster.lock import RunDirLock


def test_the_error_of_the_second_holder_names_the_first(tmp_path):
    with RunDirLock(tmp_path), pytest.raises(CommandError, match=rf"in use by `homing up` with pid {os.getpid()};"):
        RunDirLock(tmp_path).__enter__()


def test_the_lock_can_be_taken_again_after_its_release(tmp_path):
    with RunDirLock(tmp_path):
        pass
    with RunDirLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_the_file_of_a_dead_holder_does_not_lock(tmp_path):
    (tmp_path / "lock").write_text("99999\n")
    with RunDirLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
