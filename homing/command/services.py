"""`homing gateway` and `homing router`: run a service in this process.

The wheel claims the name `homing` alone and carries the services under `homing/_services`; that folder goes first on
sys.path here, in service processes only, so a backend's own package called `gateway` never meets ours.
"""

import importlib
import sys
from pathlib import Path

import click

import homing
from homing.cluster.trouble import CommandError

HERE = Path(homing.__file__).resolve().parent
OURS = ("bench", "gateway", "router", "registry", "observability", "runtime")
EVERYTHING = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(short_help="Run one gateway.", context_settings=EVERYTHING, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def gateway(arguments: tuple[str, ...]) -> None:
    """Run one gateway, for example: homing gateway --config .homing/homing.toml"""
    run_service("gateway", arguments)


@click.command(short_help="Run one router.", context_settings=EVERYTHING, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def router(arguments: tuple[str, ...]) -> None:
    """Run one router, for example: homing router --config .homing/homing.toml"""
    run_service("router", arguments)


def services_root(package: Path = HERE) -> Path:
    """The folder that holds the services: inside an installed wheel, or the repository around a checkout."""
    inside = package / "_services"
    return inside if inside.is_dir() else package.parent


def put_on_path() -> None:
    """From now on this process can import the services, before anything else of their names."""
    sys.path.insert(0, str(services_root()))


def run_service(name: str, arguments: tuple[str, ...]) -> None:
    """Import the service and give it the command line. Trouble: a package that it needs is not installed."""
    put_on_path()
    try:
        module = importlib.import_module(f"{name}.__main__")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OURS:
            raise
        raise CommandError(f"the {name} needs the package {missing}: pip install 'homing[server]'") from None
    sys.exit(module.main(list(arguments)))
