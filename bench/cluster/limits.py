"""The number of clients that the limit on open files allows: one file per client in its gateway and in its worker."""

import math
import resource

from bench.cluster.bench_cluster import MAX_GATEWAYS
from homing.cluster.errors import CommandError

RESERVED_FILES = 200  # of a process, for everything but clients: connections to routers and etcd, logs, listeners


def max_clients_per_process() -> int:
    """The number of clients that one process may have, by the hard limit."""
    return max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - RESERVED_FILES)


def raise_soft_limit() -> None:
    """Raise the soft limit to the hard limit; child processes inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def check_file_limit(clients: int, gateways: int) -> None:
    """Raise the soft limit. CommandError: the hard limit is too low for so many clients on so many gateways."""
    raise_soft_limit()
    allowed, needed = max_clients_per_process(), math.ceil(clients / gateways)
    if needed > allowed:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        possible = f"{allowed * gateways} clients" if hard > RESERVED_FILES else "nothing"
        enough = math.ceil(clients / allowed)
        possible += f", or {enough} gateways" if hard > RESERVED_FILES and enough <= MAX_GATEWAYS else ""
        raise CommandError(
            f"{clients} clients on {gateways} gateways need {needed + RESERVED_FILES} open files a process; "
            f"the hard limit is {hard} (ulimit -Hn). Possible here: {possible}. "
            f"To raise it: `ulimit -Hn {needed + RESERVED_FILES}` as root, "
            "`LimitNOFILE=` of a systemd unit, or nofile in /etc/security/limits.conf"
        )
