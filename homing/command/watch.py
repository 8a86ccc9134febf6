"""`homing watch`: the sessions of a user, or the gateways, as they come and go."""

from pathlib import Path

import click

from homing.command import options


@click.command(short_help="Watch a user's sessions, or the gateways.")
@click.option("--user", type=options.NAME, metavar="UID", help="The sessions of this user.")
@click.option("--nodes", is_flag=True, help="The gateways, and their counters while these change.")
@options.run_dir
@options.routers
@options.as_json
def watch(user: str | None, nodes: bool, run_dir: Path, routers: tuple[str, ...], as_json: bool) -> None:
    """Print what is there, then every change, until Ctrl-C. A router's death is survived.

    With --json each line is one change, in the form of the API's WatchResponse.

    \b
    Examples:
      homing watch --user ada
      homing watch --nodes --json | jq .node_up.sessions
    """
    import asyncio
    import contextlib

    from homing.command.calls import run_dir_routers
    from homing.command.output import run_while_read
    from homing.command.watching import print_changes

    if (user is None) != nodes:
        raise click.UsageError("name one: --user or --nodes")
    addresses = routers or run_dir_routers(run_dir)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run_while_read(print_changes(addresses, user, as_json)))
