"""What the fuzzers have found worth keeping (tests/fuzz) is read on every run, and so are their seeds."""

from pathlib import Path

import pytest

from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_in_the_corpus_is_a_finding(target: str) -> None:
    kept = [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]
    for data in [*SEEDS[target], *kept]:
        TARGETS[target](data)
