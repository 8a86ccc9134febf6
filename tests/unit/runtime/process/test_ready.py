"""The ready line, and the garbage collector after it."""

import gc
import io
import json
from collections.abc import Iterator

import pytest

from runtime.process.lifecycle import StartupError
from runtime.process.ready import GC_THRESHOLD, notify_ready


@pytest.fixture(autouse=True)
def _keep_collector() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_the_ready_line_is_one_object_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    notify_ready(ready="gateway", node_id="n\n1", pid=7)
    line, rest = capsys.readouterr().out.split("\n", 1)
    assert (json.loads(line), rest) == ({"ready": "gateway", "node_id": "n\n1", "pid": 7}, "")


def test_the_objects_of_the_start_are_not_scanned_again() -> None:
    frozen = gc.get_freeze_count()
    notify_ready()
    assert gc.get_freeze_count() > frozen
    assert gc.get_threshold()[0] == GC_THRESHOLD


def test_a_ready_line_that_cannot_be_printed_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stdout", FullDisk())
    with pytest.raises(StartupError, match="stdout: cannot print the ready line: No space left"):
        notify_ready()
