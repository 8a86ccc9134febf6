"""`homing bench`: what things cost here, beside a bare floor."""

import signal
import sys

import click

from bench.command.large import LARGE
from bench.command.small import SMALL
from homing.cluster.trouble import CommandError


class InOrder(click.Group):
    """Lists the scenarios from the small to the large."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=InOrder, short_help="Measure what things cost here.")
def bench() -> None:
    """Start a cluster of its own, load it, and print CPU per operation, latency and memory.

    The small ones have a bare floor beside them, the least that the job takes on this machine. The load comes from
    processes of its own, whose CPU is told.

    \b
    Examples:
      homing bench unicast
      homing bench fanout --clients 5000 --rate 5 --json
      homing bench article --cores 1
    """
    try:
        import bench.cluster.brokers  # noqa: F401  the one that needs the most packages
    except ImportError as error:
        raise CommandError(
            f"bench needs the whole of Homing: pip install 'homing[up]' ({error.name} is missing)"
        ) from None
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that an ended run still stops its cluster
        signal.signal(number, lambda got, _frame: sys.exit(128 + got))


for scenario in (*SMALL, *LARGE):
    bench.add_command(scenario)
