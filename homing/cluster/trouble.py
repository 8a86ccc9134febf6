"""What goes wrong in a way that a person can mend."""


class Trouble(Exception):
    """One line for a person: what failed, which place, and the cure. Never shown with a stack trace."""
