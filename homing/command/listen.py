"""`homing listen`: connect as a client and print the messages."""

from pathlib import Path

import click

from homing.command import address_types, options


@click.command(short_help="Connect as a client and print messages.")
@click.option("--user", required=True, type=options.USER, metavar="UID", help="The client's user.")
@click.option("--file", "files", multiple=True, type=options.NAME, metavar="FILE", help="Join this file; repeatable.")
@click.option(
    "--url",
    type=address_types.CLIENT_URL,
    metavar="ws[s]://HOST:PORT/ws",
    help="This gateway, instead of one from DIR/cluster.json.",
)
@click.option(
    "--ca",
    type=options.PathParam(dir_okay=False),
    envvar="HOMING_CA",
    show_envvar=True,
    metavar="FILE",
    help="PEM file of who signs the gateways' certificates (wss://); for those of DIR/cluster.json it is known.",
)
@click.option(
    "--token", type=options.TOKEN, metavar="TOKEN", help="This token, instead of one signed with the run-dir's key."
)
@options.run_dir
@options.as_json
def listen(
    user: str,
    files: tuple[str, ...],
    url: str | None,
    ca: Path | None,
    token: str | None,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Connect as a client (homing.json), join files, print each message; reconnect when the connection is lost.

    \b
    Examples:
      homing listen --user ada --file notes
      homing listen --user ada --json | jq .data
      homing listen --user ada --url wss://example.org/ws --ca ca.pem
    """
    import asyncio
    import contextlib

    from homing.command.listening_client import ListeningClient
    from homing.command.output import run_while_read

    client = ListeningClient(user, files, url, token, run_dir, as_json, ca)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run_while_read(client.run()))
