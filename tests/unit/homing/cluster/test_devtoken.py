import os

import jwt
import pytest

from homing.cluster import devtoken
from homing.cluster.errors import CommandError


def test_pyjwt_verifies_a_token(tmp_path):
    devtoken.ensure_key(tmp_path)
    key = devtoken.read_key(tmp_path)
    token = devtoken.sign(key, "ada", ["notes", "a*"], now=1000.0, ttl=60.0)
    claims = jwt.decode(
        token, key, algorithms=["HS256"], audience="homing", issuer="homing-dev", options={"verify_exp": False}
    )
    assert claims == {
        "sub": "ada",
        "iss": "homing-dev",
        "aud": "homing",
        "iat": 1000,
        "exp": 1060,
        "files": ["notes", "a*"],
    }


def test_the_key_is_kept_and_readable_by_its_owner_only(tmp_path):
    path = devtoken.ensure_key(tmp_path)
    first = path.read_bytes()
    assert devtoken.ensure_key(tmp_path).read_bytes() == first
    assert len(first) == 64
    assert path.stat().st_mode & 0o077 == 0


def test_a_missing_key_names_the_command_that_creates_it(tmp_path):
    with pytest.raises(CommandError, match=r"dev\.key cannot be read; `homing up` makes one"):
        devtoken.read_key(tmp_path)


@pytest.mark.parametrize("now", [1000.0, 1000.2, 1000.9999])
@pytest.mark.parametrize("ttl", [0.001, 0.5, 1.0, 59.9])
def test_a_token_is_valid_for_as_long_as_it_was_asked_for(now, ttl):
    token = devtoken.sign(b"k" * 32, "ada", [], now, ttl)
    expiry = jwt.decode(token, options={"verify_signature": False})["exp"]
    assert now + ttl <= expiry < now + ttl + 1


def test_a_key_is_a_regular_file_of_some_size(tmp_path):
    path = tmp_path / "dev.key"
    os.mkfifo(path)
    with pytest.raises(CommandError, match=r"dev\.key is no regular file; remove it"):
        devtoken.read_key(tmp_path)
    path.unlink()
    path.write_bytes(b"k" * (devtoken.LONGEST_SECRET + 1))
    with pytest.raises(CommandError, match=r"dev\.key is too long; delete it"):
        devtoken.read_key(tmp_path)
