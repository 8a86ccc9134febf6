"""`homing bench`: the cost of operations on this machine, beside a baseline."""

import signal
import sys

import click

from bench.command.large import LARGE
from bench.command.small import SMALL
from homing.cluster.errors import CommandError


class ScenarioGroup(click.Group):
    """Lists the scenarios from small to large."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=ScenarioGroup, short_help="Measure costs on this machine.")
def bench() -> None:
    """Start a cluster, load it, and print CPU per operation, latency and memory.

    The small scenarios also measure a baseline, the least that the job takes on this machine. The load comes from
    processes of its own, and their CPU is printed too.

    \b
    Examples:
      homing bench unicast
      homing bench fanout --clients 5000 --rate 5 --json
      homing bench article --cores 1
    """
    try:
        import bench.cluster.brokers  # noqa: F401  the module that needs the most packages
    except ImportError as error:
        raise CommandError(f"bench needs all of Homing: pip install 'homing[up]' ({error.name} is missing)") from None
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that a terminated run still stops its cluster
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))


for scenario in (*SMALL, *LARGE):
    bench.add_command(scenario)
