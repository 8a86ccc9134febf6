"""Names are the field's words: what was renamed stays away, and one class name stands for one thing.

The table of names before and after is docs/decisions/0009-the-fields-words.md.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("bench", "examples", "gateway", "homing", "observability", "registry", "router", "runtime")

REMOVED = frozenset(
    """
    Life Lives life lives Turn TURN patience patient Patience NodePort nodeport BusPort Link Reach
    Asks Asking ask asks Debt debt Desk desk House house Doorway doorway RouterEar _NodeEar ear Ear
    Complaint complaint complain newcomer newcomers Newcomer Unidentified close_books born_ns hear
    heard hears said say says told tell tells untold want wants wanted Wanted Trouble trouble
    Mistake together awaiting guid guids Crowd Crowds crowd Standing standing Tenure tenure vouched
    goodbye Goodbye landed Flight bury one_less
    """.split()  # noqa: SIM905 - a list of words
)
"""Identifiers, also as a part between underscores, that no code here may have."""


def sources() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (path for path in sorted((ROOT / folder).rglob("*.py")) if "_pb2" not in path.name)


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that the code itself gives: of classes, functions, arguments, variables, attributes, modules."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Attribute(attr=name) | ast.Name(id=name):
                yield name, node.lineno
            case ast.ImportFrom(module=str(module)):
                yield from ((part, node.lineno) for part in module.split("."))


def removed_in(path: Path) -> list[str]:
    found = set()
    for name, line in identifiers(ast.parse(path.read_text())):
        if REMOVED & {name, *name.split("_")}:
            found.add(f"{path.relative_to(ROOT)}:{line} {name}")
    return sorted(found)


def test_no_removed_identifier_is_left() -> None:
    assert [found for path in sources() for found in removed_in(path)] == []


def test_removed_identifiers_are_found(tmp_path: Path) -> None:
    tree = ast.parse("class Debt:\n    def _hear_ping(self, newcomer):\n        self.close_books = told")
    assert {name for name, _ in identifiers(tree) if REMOVED & {name, *name.split("_")}} == {
        "Debt",
        "_hear_ping",
        "newcomer",
        "close_books",
        "told",
    }


def test_a_class_name_stands_for_one_thing() -> None:
    places = defaultdict(set)
    for path in sources():
        if path.is_relative_to(ROOT / "examples"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
