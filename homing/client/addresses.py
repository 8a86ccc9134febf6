"""host:port: the one rule for the addresses that a person or a program names.

The services have the same rule for their settings (runtime/process/setting_types.py), since neither imports the other;
tests/unit/runtime/process/test_addresses.py compares the two.
"""

import re

_match_address = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\]):([0-9]{1,5})").fullmatch


def parse_address(address: str) -> tuple[str, int] | None:
    """Host and port of "host:port"; an IPv6 host loses its brackets. None: the text is something else."""
    found = _match_address(address)
    if found is None or int(found[2]) > 65535:
        return None
    return found[1].strip("[]"), int(found[2])


def is_peer(address: str) -> bool:
    """Whether the text is the address of somebody to connect to: port 0 is nobody's."""
    found = parse_address(address)
    return found is not None and found[1] > 0


def join_address(host: str, port: int) -> str:
    """host:port as one text; an IPv6 host gets brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def hint(address: str, example: str) -> str:
    """What is wrong with a text that is not host:port, as the end of a sentence. `example`: a right one."""
    _, scheme, rest = address.partition("://")
    if "," in address:
        return "name several one by one, each in an argument or an option (--router) of its own"
    if scheme:
        return f"write it without the scheme: {rest.partition('/')[0] or example}"
    if address.count(":") > 1:
        return "an IPv6 address stands in brackets: [::1]:8500"
    return f"for example {example}"
