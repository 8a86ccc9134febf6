"""How many clients the limit on open files allows; each costs one file in its gateway and one in its crowd process."""

import math
import resource

from bench.cluster.rig import MOST_GATEWAYS
from homing.cluster.trouble import CommandError

MARGIN = 200  # files of a process beside those of clients: connections to routers and etcd, logs, listeners


def files_for_clients() -> int:
    """Clients that one process may have at most, by the hard limit."""
    return max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - MARGIN)


def raise_soft_limit() -> None:
    """As far as the hard limit goes; what we start inherits it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def judge(clients: int, gateways: int) -> None:
    """Raise the soft limit. Trouble: even the hard one is too low for so many clients on so many gateways."""
    raise_soft_limit()
    room, each = files_for_clients(), math.ceil(clients / gateways)
    if each > room:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        possible = f"{room * gateways} clients" if hard > MARGIN else "nothing"
        more = math.ceil(clients / room)
        possible += f", or {more} gateways" if hard > MARGIN and more <= MOST_GATEWAYS else ""
        raise CommandError(
            f"{clients} clients on {gateways} gateways need {each + MARGIN} open files a process; "
            f"the hard limit is {hard} (ulimit -Hn). Possible here: {possible}. "
            f"To raise it: `ulimit -Hn {each + MARGIN}` as root, "
            "`LimitNOFILE=` of a systemd unit, or nofile in /etc/security/limits.conf"
        )
