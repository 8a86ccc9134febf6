"""Core: who a client is, by its token."""

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """Who a client is, from its token. `files` are grants: file names, or `prefix*`."""

    user: str
    files: tuple[str, ...]
    auth_type: str  # the issuer's name, as X-Auth-Type
    expires: float  # seconds since the Unix epoch

    def may_join(self, file: str) -> bool:
        """Whether a grant covers this file."""
        return any(file == grant or (grant.endswith("*") and file.startswith(grant[:-1])) for grant in self.files)
