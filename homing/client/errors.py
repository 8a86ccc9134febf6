"""What a call to a router can end in, split by whose turn it is: the caller's to mend, or time's."""


class RouterError(Exception):
    """Every error that a call to a router raises."""


class Refused(RouterError):
    """The router said no, and nothing was done: the request must change, or wait (RESOURCE_EXHAUSTED)."""

    def __init__(self, code: str, message: str, field: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {message}" + (f" (field: {field})" if field else ""))
        self.code = code  # gRPC's name for it, e.g. INVALID_ARGUMENT
        self.message = message
        self.field = field  # which field it is about; "" when it is about none
        self.retry_after = retry_after  # seconds; None when waiting does not help


class Unavailable(RouterError):
    """No router answered in time. What was asked for may or may not have been done."""
