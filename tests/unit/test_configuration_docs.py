"""docs/configuration.md is what `make config-docs` writes today, and every setting has its sentence."""

import importlib.util
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("homing_docs_generate", ROOT / "docs" / "generate_configuration.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(generator) -> None:
    assert generator.render() == (ROOT / "docs" / "configuration.md").read_text(), "run `make config-docs`"


def test_every_setting_has_a_sentence(generator) -> None:
    settings = [setting for section in generator.sections() for setting in section.settings]
    assert len(settings) > 50
    no_sentence = [one.name for one in settings if not one.sentence[:1].isupper() or not one.sentence.endswith(".")]
    assert no_sentence == []


def test_every_section_has_a_text(generator) -> None:
    assert [section.path for section in generator.sections() if not generator.section_text(section.struct)] == []


class Base(msgspec.Struct):
    """Fields of a base."""

    one: int = 1  # Beside the field.


class Derived(Base):
    """`[derived]`: a section.

    A second paragraph.
    """

    # Above the field,
    # in two lines.
    two: tuple[str, ...] = (
        "a # in a text",
        "another",
    )  # And beside its end.
    three: int = 3
    four: str = "# in a text"  # After a text.


def test_a_sentence_is_beside_or_above_its_field(generator) -> None:
    assert generator.field_comments(Derived) == {
        "one": "Beside the field.",
        "two": "Above the field, in two lines. And beside its end.",
        "three": "",
        "four": "After a text.",
    }
    assert generator.section_text(Derived) == "A section."
