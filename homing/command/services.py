"""`homing gateway` and `homing router`: run a service in this process.

The wheel owns the package name `homing` alone and has the services under `homing/_services`. Service processes, and no
others, put that folder first on sys.path, so a backend's own package `gateway` never conflicts.
"""

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

import homing
from homing.cluster.errors import CommandError, ConfigurationMistake

PACKAGE = Path(homing.__file__).resolve().parent
OWN_PACKAGES = ("bench", "gateway", "router", "registry", "observability", "runtime")
PASS_ALL_ARGUMENTS = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(short_help="Run one gateway.", context_settings=PASS_ALL_ARGUMENTS, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def gateway(arguments: tuple[str, ...]) -> None:
    """Run one gateway, for example: homing gateway --config .homing/homing.toml"""
    run_service("gateway", arguments)


@click.command(short_help="Run one router.", context_settings=PASS_ALL_ARGUMENTS, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def router(arguments: tuple[str, ...]) -> None:
    """Run one router, for example: homing router --config .homing/homing.toml"""
    run_service("router", arguments)


def services_root(package: Path = PACKAGE) -> Path:
    """The folder of the services: `_services` in an installed wheel, the repository in a checkout."""
    inside = package / "_services"
    return inside if inside.is_dir() else package.parent


def add_services_to_path() -> None:
    """Make the services importable in this process, before any other packages of the same names."""
    sys.path.insert(0, str(services_root()))


def run_service(name: str, arguments: tuple[str, ...]) -> None:
    """Run the service's main with the command line. CommandError: a package that the service needs is missing."""
    add_services_to_path()
    sys.exit(_import(f"{name}.__main__").main(list(arguments)))


def check_configuration(tables: Sequence[tuple[str, Mapping[str, Any]]], environ: Mapping[str, str]) -> None:
    """Judge a configuration as gateways and routers will, before any of them is started.

    `tables`: each with the place that errors name; the last one counts. ConfigurationMistake: a service would refuse
    the configuration.
    """
    add_services_to_path()
    configuration = _import("runtime.process.configuration")
    for service, struct in (("gateway", "GatewayConfig"), ("router", "RouterConfig")):
        kind = getattr(_import(f"{service}.config"), struct)
        try:
            configuration.load(kind, None, environ, (), tables)
        except configuration.ConfigurationError as error:
            raise ConfigurationMistake(str(error)) from None


def check_keys(tables: Sequence[tuple[str, Mapping[str, Any]]], environ: Mapping[str, str]) -> None:
    """Judge the files of a right configuration (keys, certificates), and who may get a development token, as a gateway
    will.

    Arguments and errors as for `check_configuration`.
    """
    configuration, config = _import("runtime.process.configuration"), _import("gateway.config")
    try:
        settings = configuration.load(config.GatewayConfig, None, environ, (), tables)
        _import("gateway.access").read_access(settings)
    except configuration.ConfigurationError as error:
        raise ConfigurationMistake(str(error)) from None


def _import(name: str) -> Any:  # noqa: ANN401 - a service's module
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        service, missing = name.partition(".")[0], (error.name or "").partition(".")[0]
        if missing in OWN_PACKAGES:
            raise
        raise CommandError(f"the {service} needs the package {missing}: pip install 'homing[server]'") from None
