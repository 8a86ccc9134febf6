"""All attacks, in the order of the table."""

from bench.hostile.attack import Attack, reconnecting
from bench.hostile.attacks import answers, blocks, connections, floods, http, memory, windows

AGAIN = ("rapid reset", "MadeYouReset, window of 0", "CONTINUATION of 1 bytes", "HPACK bomb", "PING")
"""Attacks that are also made on one connection after another, since the server ends each."""

_FLOODS = (*floods.ATTACKS, *blocks.ATTACKS)
ATTACKS: tuple[Attack, ...] = (
    connections.CONTROL,
    *windows.ATTACKS,
    *_FLOODS,
    *(
        one._replace(name=f"{one.name}, reconnecting", run=reconnecting(one.run))
        for one in _FLOODS
        if one.name in AGAIN
    ),
    *memory.ATTACKS,
    *answers.ATTACKS,
    *connections.ATTACKS,
    *http.ATTACKS,
)
BY_NAME = {attack.name: attack for attack in ATTACKS}
