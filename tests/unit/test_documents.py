"""Documents have no dead links, and what code says of a document is there: its file, its heading, its row."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OLD = re.compile(r"(?<![\w/.])(design §|reliability\.md|(api|protocol|design)\.md[,)]|shared/)")
REFERENCE = re.compile(r"docs/([a-z]+)\.md((?:,? (?:and )?\"[^\"]+\")+)")
ROWS = re.compile(r"docs/promises\.md, rows? ([0-9][0-9, \-and]*)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"```.*?```", re.DOTALL)


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository, also new ones that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [ROOT / name for name in sorted(set(listed.splitlines())) if (ROOT / name).is_file()]


def headings(page: Path) -> list[str]:
    return [line.lstrip("#").strip() for line in FENCE.sub("", page.read_text()).splitlines() if line.startswith("#")]


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def dead_links(page: Path) -> Iterator[str]:
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        found = (page.parent / path) if path else page
        if not found.exists() or (fragment and fragment not in map(anchor, headings(found))):
            yield target


def without_quotes_of_lines(text: str) -> str:
    """A comment or docstring that is wrapped, as one line."""
    return re.sub(r"\s*\n\s*#?\s*", " ", text)


@pytest.mark.parametrize("page", tracked("*.md"), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page: Path) -> None:
    assert list(dead_links(page)) == []


def test_what_code_cites_is_there() -> None:
    wrong = []
    for source in tracked("*.py", "*.proto", "*.toml", "Makefile"):
        text = without_quotes_of_lines(source.read_text())
        if source == Path(__file__):
            continue
        for page, quoted in REFERENCE.findall(text):
            found = headings(ROOT / "docs" / f"{page}.md") if (ROOT / "docs" / f"{page}.md").exists() else []
            wrong += [
                f"{source.relative_to(ROOT)}: docs/{page}.md has no heading {heading!r}"
                for heading in re.findall(r'"([^"]+)"', quoted)
                if heading not in found
            ]
    assert wrong == []


def test_rows_that_code_cites_are_there() -> None:
    rows = set(re.findall(r"(?m)^\| ([0-9]+) \|", (ROOT / "docs" / "promises.md").read_text()))
    cited = {
        number
        for source in tracked("*.py")
        if source != Path(__file__)
        for found in ROWS.findall(without_quotes_of_lines(source.read_text()))
        for number in re.findall(r"[0-9]+", found)
    }
    assert len(cited) > 20
    assert cited <= rows


def test_nothing_cites_documents_that_are_not_here() -> None:
    found = [
        f"{source.relative_to(ROOT)}: {match[0]}"
        for source in tracked("*.py", "*.proto", "Makefile", "*.toml")
        if source != Path(__file__)
        for match in OLD.finditer(source.read_text())
    ]
    assert found == []


@pytest.mark.parametrize("page", ["architecture.md", "performance.md", "tracing.md"])
def test_paths_that_a_page_names_exist(page: str) -> None:
    text = FENCE.sub("", (ROOT / "docs" / page).read_text())
    named = re.findall(r"`((?:bench|gateway|homing|observability|proto|registry|router|runtime|tests)/[\w./]+)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One Heading\n[good](#one-heading) [bad](#two) [gone](other.md) [out](https://example.org)\n")
    assert list(dead_links(page)) == ["#two", "other.md"]
