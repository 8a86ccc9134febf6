"""What the door and the sessions ask of whoever knows tokens."""

from typing import Protocol

from gateway.identity.identity import Identity


class Unauthorized(Exception):
    """A token that is not good. `code` is for clients; the message never holds any of the token."""

    def __init__(self, message: str, code: str = "invalid_token") -> None:
        super().__init__(message)
        self.code = code


class Verify(Protocol):
    """Verifies a token at `now` (seconds since the Unix epoch); raises Unauthorized. Does no I/O."""

    def __call__(self, token: str, now: float) -> Identity: ...
