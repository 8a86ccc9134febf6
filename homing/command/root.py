"""`homing`: the group of verbs, and the exit status."""

import sys
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from homing import __version__
from homing.command import (
    disconnect,
    failures,
    listen,
    locate,
    membership,
    presence,
    push,
    reply,
    services,
    standard_streams,
    token,
    trace,
    up,
    watch,
)
from homing.command.options import OutputForm
from homing.command.output import output_errors

VERB_ENTRY_POINTS = "homing.verbs"  # the entry-point group of verbs from other packages


class VerbGroup(click.Group):
    """Lists the verbs in the order of first use. Verbs from entry points are imported when they are called."""

    @cached_property
    def _entry_points(self) -> Mapping[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=VERB_ENTRY_POINTS)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        processes = {"gateway", "router"}
        return [
            *(name for name in self.commands if name not in processes),
            *sorted(self._entry_points),
            *sorted(processes),
        ]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = self.commands.get(cmd_name)
        if command is not None or cmd_name not in self._entry_points:
            return command
        services.add_services_to_path()
        loaded: click.Command = self._entry_points[cmd_name].load()
        return loaded

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401
    ) -> click.Context:
        with output_errors():  # --help and --version print here
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        with output_errors():
            return super().invoke(ctx)


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="homing")
def root() -> None:
    """Push to exactly the gateways that own the receivers, and get a delivery report.

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
    watch.watch,
    membership.join,
    membership.leave,
    reply.reply,
    disconnect.disconnect,
    trace.trace,
    services.gateway,
    services.router,
):
    root.add_command(command)


def main() -> None:
    """The console script. Exit status: 0 success, 1 refused or failed, 2 wrong usage or configuration.

    141, as of a process that SIGPIPE ended: nobody reads the output any more.
    """
    arguments, form = sys.argv[1:], OutputForm()
    standard_streams.open_closed()
    try:
        standard_streams.check_stdout(arguments)
        status = root.main(arguments, prog_name="homing", standalone_mode=False, obj=form)
        with output_errors():
            sys.stdout.flush()
    except Exception as error:
        sys.exit(failures.report(error, arguments, form.as_json))
    sys.exit(status if isinstance(status, int) else 0)
