"""Errors of the command that a person can act on."""


class CommandError(Exception):
    """A message for a person: what failed, where, and what to do. Printed without a stack trace; exit status 1."""

    exit_code = 1
    code = "FAILED_PRECONDITION"  # gRPC's name, for --json


class RouterAway(CommandError):
    """No router answers. The call may or may not have been carried out."""

    code = "UNAVAILABLE"


class ConfigurationMistake(CommandError):
    """A mistake in the user's configuration. Exit status 2, as for a mistake on the command line."""

    exit_code = 2
    code = "INVALID_ARGUMENT"
