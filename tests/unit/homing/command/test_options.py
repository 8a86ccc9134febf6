import click
import pytest

from homing.command.options import DURATION, build_target


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30.0), ("30", 30.0), ("5m", 300.0), ("1h", 3600.0), ("1.5s", 1.5)]
)
def test_durations(text, seconds):
    assert DURATION.convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1s", "0", "0s", "1y", "1 s", "nan", "1e9"])
def test_malformed_durations(text):
    with pytest.raises(click.BadParameter, match="is not a duration such as"):
        DURATION.convert(text, None, None)


def test_one_target():
    assert build_target(7, None, None, False, "").session == 7
    assert build_target(None, "", None, False, "").WhichOneof("to") == "user"
    assert build_target(None, None, "notes", False, "*").namespace == "*"
    assert build_target(None, None, None, True, "").everyone


@pytest.mark.parametrize(
    "named", [(None, None, None, False), (7, "ada", None, False), (None, "ada", None, True), (None, "ada", "f", False)]
)
def test_no_target_or_two(named):
    with pytest.raises(click.UsageError, match="name one target"):
        build_target(*named, "")


@pytest.mark.parametrize("text", ["367d", "9" * 400, "999999999999d", "٣s"])
def test_a_duration_has_an_end_and_ascii_digits(text):
    with pytest.raises(click.BadParameter):
        DURATION.convert(text, None, None)
