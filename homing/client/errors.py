"""Errors of the calls to a router: `Refused` when the request must change, `Unavailable` when no router answered."""


class RouterError(Exception):
    """Base class of every error that a call to a router raises."""


class Refused(RouterError):
    """The router refused the request and did nothing. RESOURCE_EXHAUSTED may be retried after `retry_after`."""

    def __init__(self, code: str, message: str, field: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {message}" + (f" (field: {field})" if field else ""))
        self.code = code  # name of the gRPC status, e.g. INVALID_ARGUMENT
        self.message = message
        self.field = field  # the request's field at fault; "" when the error concerns no single field
        self.retry_after = retry_after  # seconds; None: a retry would fail too


class Unavailable(RouterError):
    """No router answered in time. The request may or may not have been carried out."""


class NoCluster(RouterError):
    """No cluster of `homing up` runs where it was looked for."""
