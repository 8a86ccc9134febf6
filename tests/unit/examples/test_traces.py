"""The recordings are whole, and an edit that does not fit is never clipped into one that does."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[3] / "examples" / "shared_document" / "traces.py"


@pytest.fixture(scope="module")
def traces():
    spec = importlib.util.spec_from_file_location("shared_document_traces", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "count"), [("clownschool", 23_136), ("friendsforever", 26_078)])
def test_all_edits_lead_to_the_recorded_text(traces, name, count):
    recording = traces.load(name)
    assert len(recording.edits) == count
    text = ""
    for edit in recording.edits:
        text = traces.apply(text, edit)
    assert text == recording.end


def test_a_limit_leads_to_the_text_so_far(traces):
    recording = traces.load("friendsforever", 10)
    assert len(recording.edits) == 10
    assert recording.end == "A synops"  # with a typing error and its correction on the way


def test_patches_replace_in_order(traces):
    assert traces.apply("hello", [[1, 3, "ipp"], [5, 0, "!"]]) == "hippo!"


@pytest.mark.parametrize("patch", [[6, 0, "x"], [0, 6, ""], [5, 1, ""]])
def test_an_edit_of_another_text_is_an_error(traces, patch):
    with pytest.raises(ValueError, match="does not fit a text of 5 characters"):
        traces.apply("hello", [patch])
