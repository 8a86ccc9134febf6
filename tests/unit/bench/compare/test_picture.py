"""The picture: well-formed, on its own, inside its frame, and it tells measured from modelled."""

import re
from xml.etree import ElementTree

from bench.compare.model import curves
from bench.compare.picture import HEIGHT, WIDTH, picture
from tests.unit.bench.compare.rows import both, row

SVG = "{http://www.w3.org/2000/svg}"


def drawn(rows: list) -> ElementTree.Element:
    return ElementTree.fromstring(picture(rows, curves(rows, 20)))


def test_it_needs_nothing_from_elsewhere() -> None:
    text = picture(both(), curves(both(), 20))
    assert not re.search(r"href|url\(|@import|<script|<image|<foreignObject| on\w+=", text)
    assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"]
    assert "prefers-color-scheme: dark" in text


def test_everything_lies_inside_its_frame() -> None:
    root = drawn(both())
    for place in root.iter():
        for name, most in (("x", WIDTH), ("cx", WIDTH), ("x1", WIDTH), ("y", HEIGHT), ("cy", HEIGHT), ("y2", HEIGHT)):
            assert 0 <= float(place.get(name, "0")) <= most
    for path in root.iter(f"{SVG}path"):
        numbers = [float(number) for number in re.findall(r"[\d.]+", path.get("d"))]
        assert max(numbers[::2]) <= WIDTH
        assert max(numbers[1::2]) <= HEIGHT


def test_what_was_measured_has_dots_and_the_model_is_dashed_and_says_so() -> None:
    root = drawn(both())
    dots = [dot.get("class") for dot in root.iter(f"{SVG}circle")]
    assert len(dots) == 4 + 2 * 4 * 4  # the legend's, and two panels of four lines of four
    assert sum("hollow" in kind for kind in dots) == len(dots) / 2  # Kafka's
    assert sum("guess" in path.get("class") for path in root.iter(f"{SVG}path")) == 2 * 4
    words = " ".join(text.text for text in root.iter(f"{SVG}text"))
    assert words.count("model, not measured") == 2
    assert "1 to 8 gateways" in words
    assert "50 ms" in words


def test_lower_is_more_and_further_right_is_more_gateways() -> None:
    root = drawn([one for one in both() if one.bus == "redis" and one.mode == "broadcast"])
    places = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in root.iter(f"{SVG}circle")][1:5]
    assert places == sorted(places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)


def test_with_nothing_to_draw_it_is_still_a_picture() -> None:
    assert drawn([]).tag == f"{SVG}svg"
    one = drawn([row("routed", 1, 100), row("broadcast", 1, 100, valid=False)])
    assert len([dot for dot in one.iter(f"{SVG}circle") if "broadcast" in dot.get("class")]) == 0
