"""All attacks, in the order of the table."""

from bench.hostile.attack import Attack
from bench.hostile.attacks import answers, blocks, connections, floods, http, memory, windows

ATTACKS: tuple[Attack, ...] = (
    *windows.ATTACKS,
    *floods.ATTACKS,
    *blocks.ATTACKS,
    *memory.ATTACKS,
    *answers.ATTACKS,
    *connections.ATTACKS,
    *http.ATTACKS,
)
BY_NAME = {attack.name: attack for attack in ATTACKS}
