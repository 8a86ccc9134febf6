"""The secret of a cluster's processes, as it is read; tests/contract/test_socketio_nodes.py has it refused."""

from pathlib import Path

import pytest

from runtime.grpc_wire.shared_secret import HEADER, NO_SECRET, SharedSecret, read_shared_secret
from runtime.process.configuration import ConfigurationError


def test_a_secret_is_a_file_s_text(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("  sixteen characters and more\n")
    assert read_shared_secret(str(path)).metadata() == [(HEADER, b"sixteen characters and more")]
    assert read_shared_secret("").metadata() == []
    assert NO_SECRET.guard({"a": None}) == {"a": None}  # type: ignore[dict-item]


@pytest.mark.parametrize("raw", [b"too short", "sechzehn Zeichen ü".encode(), b"sixteen bytes \x01\x02 and more"])
def test_a_secret_that_is_of_no_use_is_named(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(raw)
    with pytest.raises(ConfigurationError, match=r"registry\.secret_file: .*secret: at least 16"):
        read_shared_secret(str(path))
    with pytest.raises(ConfigurationError, match=r"nowhere: No such file"):
        read_shared_secret(str(tmp_path / "nowhere"))


def test_who_knows_the_secret_is_let_in() -> None:
    class Call:
        def __init__(self) -> None:
            self.request_headers = [(HEADER, b"the secret of all")]

    guarded = SharedSecret(b"the secret of all").guard({"a": lambda call: call})  # type: ignore[dict-item,arg-type,return-value]
    call = Call()
    assert guarded["a"](call) is call  # type: ignore[arg-type,comparison-overlap]
