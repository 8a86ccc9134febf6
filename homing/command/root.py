"""`homing`: the verbs, and the one place where an error becomes a line for a person."""

import os
import sys
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points

import click

from homing import __version__
from homing.cluster.trouble import CommandError
from homing.command import listen, locate, presence, push, services, token, trace, up

VERBS = "homing.verbs"  # the group of entry points whose commands are verbs too


class Verbs(click.Group):
    """Lists the verbs in the order a newcomer needs them; those of entry points are imported when asked for."""

    @cached_property
    def _elsewhere(self) -> Mapping[str, EntryPoint]:
        return {found.name: found for found in entry_points(group=VERBS)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        processes = {"gateway", "router"}
        return [
            *(name for name in self.commands if name not in processes),
            *sorted(self._elsewhere),
            *sorted(processes),
        ]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        here = self.commands.get(cmd_name)
        if here is not None or cmd_name not in self._elsewhere:
            return here
        services.put_on_path()
        found: click.Command = self._elsewhere[cmd_name].load()
        return found


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="homing")
def root() -> None:
    """Push to exactly the gateways that own the receivers, and get a report of what became of it.

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
    services.gateway,
    services.router,
):
    root.add_command(command)


def main() -> None:
    """The console script. Exit status: 0 done, 1 refused or failed, 2 wrong usage or configuration."""
    try:
        root.main(prog_name="homing", standalone_mode=True)
    except CommandError as trouble:
        click.echo(f"homing: {trouble}", err=True)
        sys.exit(trouble.exit_code)
    except Exception as error:
        if os.environ.get("HOMING_DEBUG"):
            raise
        kind = type(error).__name__
        click.echo(f"homing: this should not happen: {kind}: {error} (HOMING_DEBUG=1 shows where)", err=True)
        sys.exit(1)
