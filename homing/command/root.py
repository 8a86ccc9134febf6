"""`homing`: the verbs, and the one place where an error becomes a line for a person."""

import os
import sys

import click

from homing import __version__
from homing.cluster.trouble import Trouble
from homing.command import bench, bench_large, compare, listen, locate, presence, push, services, token, trace, up


class Verbs(click.Group):
    """Lists the verbs in the order a newcomer needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="homing")
def root() -> None:
    """Push to exactly the gateways that own the receivers, and hear what became of it.

    \b
    Example, in three terminals:
      homing up
      homing listen --user ada --file notes
      homing push --file notes --event hello --data '{"text": "hi"}'
    """


for command in (
    up.up,
    token.token,
    listen.listen,
    push.push,
    locate.locate,
    presence.presence,
    trace.trace,
    compare.compare,
    bench.bench,
    services.gateway,
    services.router,
):
    root.add_command(command)
for scenario in bench_large.LARGE:
    bench.bench.add_command(scenario)


def main() -> None:
    """The console script. Exit status: 0 done, 1 refused or failed, 2 wrong usage or configuration."""
    try:
        root.main(prog_name="homing", standalone_mode=True)
    except Trouble as trouble:
        click.echo(f"homing: {trouble}", err=True)
        sys.exit(trouble.exit_code)
    except Exception as error:
        if os.environ.get("HOMING_DEBUG"):
            raise
        kind = type(error).__name__
        click.echo(f"homing: this should not happen: {kind}: {error} (HOMING_DEBUG=1 shows where)", err=True)
        sys.exit(1)
