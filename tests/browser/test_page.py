"""The page to try it, driven by Chromium as a person would. `make browser` keeps its picture as docs/page.png."""

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.up import Up

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
SIZE = {"width": 1200, "height": 800}
TRACE = re.compile(r"[0-9a-f]{32}")
BROKEN_WORDS = """
() => {
  const broken = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    if (node.parentElement.closest(".trace, .unseen, script, template, thead, option")) continue;
    for (const { index, 0: word } of node.data.matchAll(/\\w+/g)) {
      const range = document.createRange();
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      if (new Set([...range.getClientRects()].map((part) => part.top)).size > 1) broken.push(word);
    }
  }
  return broken;
}
"""
"""The words that a line end divides. A trace's id is no word."""
PLACES = {
    '{"a": [1, -2.5e3, true, null, "\\u00e9\\n"], "b": {}}': -1,
    " [ ] ": -1,
    "{bad": 1,
    '{"a" 1}': 5,
    '{"a": 1,}': 8,
    "[1 2]": 3,
    "[01]": 2,
    "[1": 2,
    '["open': 1,
    "{} {}": 3,
    "": 0,
}
"""Where each text stops being JSON; -1: nowhere."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("browser"), "--gateways", "2") as up:
        yield up


@pytest.fixture
def opened(up: Up) -> "Iterator[Page]":
    """The page as `homing up` prints its address, with both clients connected; anything it complains of is an error."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    chromium = shutil.which("chromium")
    assert chromium is not None, "no chromium on PATH: `make browser` installs it"
    found = re.search(r"http://\S+", up.log.read_text())
    assert found is not None, up.log.read_text()
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(found[0])
        sync_api.expect(page.locator(".pane[data-state=open]")).to_have_count(2)
        yield page
        browser.close()
    assert [text for text in complaints if "400 (Bad Request)" not in text] == []  # one test asks for that


def curve(at: Callable[[float], tuple[float, float]], steps: int = 40) -> list[tuple[float, float]]:
    return [at(step / steps) for step in range(steps + 1)]


def draw(page: "Page", pane: int, points: list[tuple[float, float]]) -> None:
    box = page.locator("canvas").nth(pane).bounding_box()
    assert box is not None
    (x, y), *rest = points
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.down()
    for x, y in rest:
        page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.up()


def newest(page: "Page") -> list[str]:
    """The cells of the newest report."""
    return page.locator("#reports tbody tr").first.locator("td").all_inner_texts()


def test_strokes_go_to_the_other_client_over_both_gateways(opened: "Page", tmp_path: Path) -> None:
    from playwright.sync_api import expect

    panes, rows = opened.locator(".pane"), opened.locator("#reports tbody tr")
    draw(opened, 0, [(130, 235), (130, 140), (195, 80), (260, 140), (260, 235), (130, 235)])
    expect(rows).to_have_count(1)
    draw(opened, 0, [(178, 235), (178, 180), (212, 180), (212, 235)])
    expect(rows).to_have_count(2)
    expect(panes.nth(1)).to_have_attribute("data-strokes", "2")
    expect(panes.nth(0)).to_have_attribute("data-strokes", "0")  # a stroke is not pushed to whoever drew it
    draw(opened, 1, curve(lambda t: (450 + 34 * math.cos(t * math.tau), 70 + 34 * math.sin(t * math.tau))))
    expect(rows).to_have_count(3)
    draw(opened, 1, curve(lambda t: (535 - 300 * t, 262 - 26 * t + 14 * math.sin(t * 9.5))))
    expect(rows).to_have_count(4)
    expect(panes.nth(0)).to_have_attribute("data-strokes", "2")
    target, event, outcomes, sessions, nodes, _, trace = newest(opened)
    assert (target, event, outcomes) == ("file board", "stroke", "1 ACKED")
    assert re.fullmatch(r'ada ACKED \d+\.\d ms "drawn"', sessions)
    assert nodes == "2 asked, 2 own, 1.0x"
    assert TRACE.fullmatch(trace)

    opened.select_option("select[name=target]", "user bob")
    opened.click("form button")
    expect(rows).to_have_count(5)
    target, event, outcomes, sessions, nodes, _, trace = newest(opened)
    assert (target, event, outcomes, nodes) == ("user bob", "hello", "1 ACKED", "1 asked, 1 own, 1.0x")
    expect(panes.nth(1).locator(".received li").first).to_contain_text('hello {"text":"hi there"}')
    opened.mouse.move(0, 0)
    opened.evaluate("document.activeElement.blur()")
    opened.screenshot(path=os.environ.get("PICTURE") or tmp_path / "page.png")


def test_a_client_that_left_is_offline_and_comes_back(opened: "Page") -> None:
    from playwright.sync_api import expect

    panes = opened.locator(".pane")
    panes.nth(0).locator(".toggle").click()
    expect(panes.nth(0)).to_have_attribute("data-state", "closed")
    opened.select_option("select[name=target]", "user ada")
    expect(opened.locator("#reports tbody tr")).to_have_count(0)
    opened.fill("input[name=data]", "plain words, no JSON")
    for _ in range(50):  # until the registry knows
        opened.click("form button")
        opened.wait_for_timeout(50)
        if newest(opened)[2] == "1 OFFLINE":
            break
    assert newest(opened)[2] == "1 OFFLINE"
    panes.nth(0).locator(".toggle").click()
    expect(panes.nth(0)).to_have_attribute("data-state", "open")
    opened.click("form button")
    expect(opened.locator("#reports tbody tr").first).to_contain_text("1 ACKED")
    expect(panes.nth(0).locator(".received li").first).to_contain_text(json.dumps("plain words, no JSON"))


def test_a_refused_push_is_shown_with_its_reason(opened: "Page") -> None:
    from playwright.sync_api import expect

    opened.fill("input[name=event]", "homing:join")
    opened.click("form button")
    row = opened.locator("#reports tbody tr").first
    expect(row).to_contain_text("INVALID_ARGUMENT")
    expect(row).to_contain_text("event")


def push_to_file(page: "Page") -> None:
    from playwright.sync_api import expect

    page.select_option("select[name=target]", "file board")
    page.click("form button")
    expect(page.locator("#reports tbody tr").first).to_contain_text("2 ACKED")


@pytest.mark.parametrize("width", [400, 320])
def test_a_narrow_page_does_not_scroll_sideways_and_breaks_no_word(opened: "Page", width: int) -> None:
    from playwright.sync_api import expect

    opened.set_viewport_size({"width": width, "height": 800})
    opened.fill("input[name=event]", "homing:join")
    opened.click("form button")
    expect(opened.locator("#reports tbody tr")).to_have_count(1)
    opened.fill("input[name=event]", "hello")
    push_to_file(opened)
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.evaluate(BROKEN_WORDS) == []
    cells = opened.locator("#reports tbody tr").first.locator("td")
    names = cells.evaluate_all("cells => cells.map(cell => cell.dataset.column)")
    assert names == ["Target", "Event", "Outcomes", "Sessions", "Nodes", "Took", "Trace"]


def test_every_canvas_has_a_role_and_a_name(opened: "Page") -> None:
    from playwright.sync_api import expect

    for number, user in enumerate(("ada", "bob")):
        expect(opened.locator("canvas").nth(number)).to_have_role("img")
        expect(opened.locator("canvas").nth(number)).to_have_accessible_name(re.compile(f"{user}.*board"))
        expect(opened.get_by_role("region", name=f"Client {user}")).to_have_count(1)


def test_every_column_head_has_its_scope(opened: "Page") -> None:
    assert opened.locator("th").evaluate_all("heads => heads.map(head => head.scope)") == ["col"] * 7


def test_an_arrival_is_announced_once_for_each_client(opened: "Page") -> None:
    from playwright.sync_api import expect

    live = opened.locator("[aria-live]")
    expect(live).to_have_count(1)
    expect(live).to_have_attribute("aria-live", "polite")
    assert live.inner_text() == ""
    push_to_file(opened)
    expect(live.locator("p")).to_have_count(2)
    assert sorted(live.locator("p").all_inner_texts()) == [
        'ada received hello {"text":"hi there"}',
        'bob received hello {"text":"hi there"}',
    ]


def test_data_that_is_not_json_is_not_sent_and_says_where(opened: "Page") -> None:
    from playwright.sync_api import expect

    calls: list[str] = []
    opened.on("request", lambda request: calls.append(request.url))
    data, fault = opened.locator("input[name=data]"), opened.get_by_role("alert")
    expect(fault).to_be_hidden()
    data.fill("{bad")
    opened.click("form button")
    expect(fault).to_have_text("Not sent. Data is not JSON at character 2: bad")
    expect(data).to_have_attribute("aria-invalid", "true")
    expect(data).to_be_focused()
    assert data.evaluate("field => field.selectionStart") == 1
    assert calls == []
    data.fill('{"good": 1}')
    expect(fault).to_be_hidden()
    push_to_file(opened)
    assert len(calls) == 1


def test_the_place_where_a_text_is_not_json(opened: "Page") -> None:
    """One page for all texts: none of them changes anything there."""
    for text, at in PLACES.items():
        assert opened.evaluate("async text => (await import('/json_fault.js')).findFault(text)", text) == at, text
        is_json = opened.evaluate("text => { try { JSON.parse(text); return true } catch { return false } }", text)
        assert is_json == (at == -1), text
