"""What goes wrong in a way that a person can mend."""


class CommandError(Exception):
    """One line for a person: what failed, which place, and the cure. Never shown with a stack trace."""

    exit_code = 1


class ConfigurationMistake(CommandError):
    """The same, in what the person wrote: a configuration. Exit code 2, as for a mistake on the command line."""

    exit_code = 2
