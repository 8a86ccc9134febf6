"""The table of stages, in code and in docs/architecture.md."""

from pathlib import Path

import pytest

from gateway.sessions.stage import TRANSITIONS, IllegalMove, Move, Stage, as_markdown, stage_after

ROOT = Path(__file__).resolve().parents[4]


def test_the_document_prints_the_same_table() -> None:
    assert as_markdown() in (ROOT / "docs" / "architecture.md").read_text()


def test_closed_is_for_ever_and_every_stage_can_get_there() -> None:
    assert not any(stage is Stage.CLOSED for stage, _ in TRANSITIONS)
    assert all(TRANSITIONS[stage, Move.CLOSE] is Stage.CLOSED for stage in Stage if stage is not Stage.CLOSED)


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("move", Move)
def test_what_the_table_does_not_have_raises(stage: Stage, move: Move) -> None:
    if (stage, move) in TRANSITIONS:
        assert stage_after(stage, move) is TRANSITIONS[stage, move]
    else:
        with pytest.raises(IllegalMove, match=f"{stage.name} cannot {move.value}"):
            stage_after(stage, move)
