"""The chart: well-formed, self-contained, inside its frame, with the model marked as such."""

import re
from xml.etree import ElementTree

from bench.compare.chart import HEIGHT, WIDTH, draw_chart
from bench.compare.model import curves
from tests.unit.bench.compare.rows import all_rows, row

SVG = "{http://www.w3.org/2000/svg}"


def drawn(rows: list) -> ElementTree.Element:
    return ElementTree.fromstring(draw_chart(rows, curves(rows, 20)))


def test_the_chart_is_self_contained() -> None:
    text = draw_chart(all_rows(), curves(all_rows(), 20))
    assert not re.search(r"href|url\(|@import|<script|<image|<foreignObject| on\w+=", text)
    assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"]
    assert "prefers-color-scheme: dark" in text


def test_all_elements_are_inside_the_frame() -> None:
    root = drawn(all_rows())
    for place in root.iter():
        for name, most in (("x", WIDTH), ("cx", WIDTH), ("x1", WIDTH), ("y", HEIGHT), ("cy", HEIGHT), ("y2", HEIGHT)):
            assert 0 <= float(place.get(name, "0")) <= most
    for path in root.iter(f"{SVG}path"):
        numbers = [float(number) for number in re.findall(r"[\d.]+", path.get("d"))]
        assert max(numbers[::2]) <= WIDTH
        assert max(numbers[1::2]) <= HEIGHT


def test_measured_points_have_dots_and_the_model_is_dashed_and_labelled() -> None:
    root = drawn(all_rows())
    dots = [dot.get("class") for dot in root.iter(f"{SVG}circle")]
    assert len(dots) == 4 + 2 * 4 * 4  # the legend's, and two panels of four lines of four
    assert sum("hollow" in kind for kind in dots) == len(dots) / 2  # Kafka's
    assert sum("dashed" in path.get("class") for path in root.iter(f"{SVG}path")) == 2 * 4
    words = " ".join(text.text for text in root.iter(f"{SVG}text"))
    assert words.count("model, not measured") == 2
    assert "1 to 8 gateways" in words
    assert "50 ms" in words
    assert "CPU routed, Kafka: flat within noise, slope 0 +- 0 us a gateway" in words
    assert "CPU broadcast, Redis: rising by 50 +- 0 us a gateway" in words


def test_the_dashed_line_begins_at_the_first_measured_point() -> None:
    paths = [path for path in drawn(all_rows()).iter(f"{SVG}path") if "dashed" in path.get("class")]
    assert {path.get("d").split()[0] for path in paths} == {"M70.0", "M510.0"}


def test_dots_are_ordered_by_gateways_and_by_messages() -> None:
    root = drawn([measured for measured in all_rows() if measured.bus == "redis" and measured.mode == "broadcast"])
    places = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in root.iter(f"{SVG}circle")][1:5]
    assert places == sorted(places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)


def test_a_chart_without_rows_is_well_formed() -> None:
    assert drawn([]).tag == f"{SVG}svg"
    measured = drawn([row("routed", 1, 100), row("broadcast", 1, 100, valid=False)])
    assert len([dot for dot in measured.iter(f"{SVG}circle") if "broadcast" in dot.get("class")]) == 0
