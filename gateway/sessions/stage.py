"""Core: the stages of a session and the moves between them, as a table.

A session is created REGISTERING: pushes find it, and wait. It is CONNECTED while a connection is attached. When the
connection detaches without the session ending (a transport that changes, a client that may resume) it is DETACHED, and
pushes wait again. CLOSED is for ever. A move that the table does not have is a fault of ours: it raises IllegalMove and
changes nothing. docs/architecture.md prints the same table (`as_markdown`), and a test compares them.
"""

from collections.abc import Mapping
from enum import Enum


class Stage(Enum):
    """Where a session stands."""

    REGISTERING = "being registered; no connection is attached yet, pushes are held"
    CONNECTED = "a connection is attached; pushes are written"
    DETACHED = "no connection is attached, one may come back; pushes are held"
    CLOSED = "over; pushes are OFFLINE"


class Move(Enum):
    """What may happen to a session."""

    ATTACH = "attach"
    DETACH = "detach"
    CLOSE = "close"


TRANSITIONS: Mapping[tuple[Stage, Move], Stage] = {
    (Stage.REGISTERING, Move.ATTACH): Stage.CONNECTED,
    (Stage.REGISTERING, Move.CLOSE): Stage.CLOSED,
    (Stage.CONNECTED, Move.DETACH): Stage.DETACHED,
    (Stage.CONNECTED, Move.CLOSE): Stage.CLOSED,
    (Stage.DETACHED, Move.ATTACH): Stage.CONNECTED,
    (Stage.DETACHED, Move.CLOSE): Stage.CLOSED,
}


class IllegalMove(Exception):
    """A move that the table does not have: a fault of the gateway's own code."""

    def __init__(self, stage: Stage, move: Move) -> None:
        super().__init__(f"a session that is {stage.name} cannot {move.value}")


def stage_after(stage: Stage, move: Move) -> Stage:
    """The stage that the move leads to. Raises IllegalMove."""
    after = TRANSITIONS.get((stage, move))
    if after is None:
        raise IllegalMove(stage, move)
    return after


def as_markdown() -> str:
    """The table as docs/architecture.md prints it: a row a stage, a column a move."""
    lines = ["| stage | meaning | " + " | ".join(move.value for move in Move) + " |"]
    lines.append("|---|---|" + "---|" * len(Move))
    for stage in Stage:
        after = [TRANSITIONS.get((stage, move)) for move in Move]
        cells = " | ".join(f"`{to.name}`" if to else "illegal" for to in after)
        lines.append(f"| `{stage.name}` | {stage.value} | {cells} |")
    return "\n".join(lines)
