"""`homing token`: a client's token, signed with the run-dir's development key."""

import time
from pathlib import Path

import click

from homing.command import options


@click.command(short_help="Print a client's token.")
@click.option("--user", required=True, type=options.USER, metavar="UID", help="The token's user.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=options.NAME,
    metavar="FILE",
    help="A file that the client may join; 'prefix*' grants a prefix.",
)
@click.option(
    "--ttl", type=options.DURATION, default="1h", show_default=True, metavar="TIME", help="How long the token is valid."
)
@options.run_dir
def token(user: str, files: tuple[str, ...], ttl: float, run_dir: Path) -> None:
    """Print a client's token and nothing else.

    \b
    Example:
      websocat "ws://HOST:PORT/ws?file=notes&token=$(homing token --user ada --file notes)"
    """
    from homing.cluster import devtoken

    click.echo(devtoken.sign(devtoken.read_key(run_dir), user, files, time.time(), ttl))
