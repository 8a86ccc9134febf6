"""Tokens: who is known, and every way of not being known (docs/promises.md, rows 22-30)."""

import base64
import hmac
import json
from hashlib import sha256

import pytest

from gateway.identity.ports import Unauthorized
from gateway.identity.tokens import Issuer, Tokens
from tests.support.tokens import OTHER_SECRET, PUBLIC_PEM, SECRET, SHARED, SIGNED, claims, forge, sign, sign_raw

NOW = 1_800_000_000.0
EXP = int(NOW) + 60


def make(**changes) -> Tokens:
    return Tokens([SHARED, SIGNED], **changes)


def refused(token: str, now: float = NOW) -> str:
    with pytest.raises(Unauthorized) as caught:
        make().verify(token, now)
    assert caught.value.code == "invalid_token"
    assert not token or token[:40] not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("issuer", [SHARED, SIGNED], ids=lambda issuer: issuer.algorithm)
def test_a_good_token_is_an_identity(issuer):
    identity = make().verify(sign(issuer, exp=EXP, files=["doc", "team/*"]), NOW)
    assert (identity.user, identity.files, identity.auth_type) == ("ada", ("doc", "team/*"), issuer.name)
    assert identity.expires == EXP
    assert identity.may_join("team/7")
    assert not identity.may_join("docs")


def test_a_token_without_files_grants_none():
    assert make().verify(sign(exp=EXP, files=None), NOW).files == ()


def test_a_list_of_our_audience_alone_is_that_audience():
    assert make().verify(sign(exp=EXP, aud=["homing"]), NOW).user == "ada"


def test_expiry_has_a_leeway_and_holds_for_remembered_tokens():
    tokens, token = make(leeway=5), sign(exp=EXP)
    tokens.verify(token, EXP + 4.9)
    with pytest.raises(Unauthorized, match="expired"):
        tokens.verify(token, EXP + 5)
    with pytest.raises(Unauthorized, match="expired"):  # forgotten, judged anew
        tokens.verify(token, EXP + 5)


def test_a_remembered_token_costs_no_signature(monkeypatch):
    tokens, token = make(), sign(exp=EXP)
    first = tokens.verify(token, NOW)
    monkeypatch.setattr(tokens, "_issuers", {})
    assert tokens.verify(token, NOW) is first


def test_memory_is_bounded_and_keeps_what_is_used():
    tokens = make(remembered=2)
    one, two, three = (sign(exp=EXP, sub=name) for name in ("one", "two", "three"))
    first = tokens.verify(one, NOW)
    second = tokens.verify(two, NOW)
    assert tokens.verify(one, NOW) is first
    tokens.verify(three, NOW)
    assert tokens.verify(one, NOW) is first
    assert tokens.verify(two, NOW) is not second
    assert len(tokens._known) == 2


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "NONE"])
def test_row_22_alg_none(alg):
    refused(forge({"alg": alg, "typ": "JWT"}, claims(exp=EXP), b"x"))
    refused(forge({"alg": alg, "typ": "JWT"}, claims(exp=EXP), b""))


def test_row_23_signed_with_the_public_key():
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256"}, claims(SIGNED, exp=EXP))]
    text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    digest = hmac.new(PUBLIC_PEM, text.encode(), sha256).digest()
    refused(text + "." + base64.urlsafe_b64encode(digest).decode().rstrip("="))


@pytest.mark.parametrize("alg", ["HS384", "HS512", "RS256", "ES256", "ES256K", "EdDSA"])
def test_row_24_another_algorithm_than_the_issuers(alg):
    assert "algorithm" in refused(forge({"alg": alg}, claims(exp=EXP)))


def test_row_24_a_good_signature_with_an_algorithm_that_is_not_the_keys():
    assert "algorithm" in refused(sign_raw(json.dumps(claims(exp=EXP)).encode(), SECRET * 2, algorithm="HS512"))


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": ["x"], "x": 1}, {"crit": []}, {"b64": False}])
def test_row_25_unknown_crit(header):
    body = claims(exp=EXP)
    refused(forge({"alg": "HS256"} | header, body))
    if header != {"b64": False}:
        refused(sign_raw(json.dumps(body).encode(), headers=header))


@pytest.mark.parametrize("name", ["jku", "jwk", "x5u", "x5c"])
def test_row_26_a_token_that_brings_its_key(name):
    assert "key" in refused(sign(exp=EXP, headers={name: "https://evil.example/keys"}))


def test_row_27_one_issuers_key_under_anothers_name():
    impostor = Issuer("x", "HS256", OTHER_SECRET, SHARED.iss, "homing")
    assert "signature" in refused(sign(impostor, exp=EXP))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": SHARED.iss[:-1]},
        {"iss": SHARED.iss + "/"},
        {"iss": None},
        {"iss": [SHARED.iss]},
        {"aud": "other"},
        {"aud": "homing2"},
        {"aud": ["homing", "other"]},
        {"aud": []},
        {"aud": None},
        {"exp": int(NOW) - 6},
        {"exp": None},
        {"exp": True},
        {"exp": str(EXP)},
        {"nbf": int(NOW) + 6},
        {"nbf": "soon"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "~1"},
        {"sub": "é" * 129},
        {"files": "doc"},
        {"files": [1]},
        {"files": [""]},
        {"files": ["x" * 258]},
    ],
    ids=str,
)
def test_row_29_claims(change):
    body = {"exp": EXP} | change
    refused(sign_raw(json.dumps(claims(**body)).encode()))


@pytest.mark.parametrize("number", [b"1e400", b"NaN", b"Infinity", b"-1", b'{"a":1}'])
def test_row_29_exp_that_is_no_moment(number):
    good = json.dumps(claims(exp=EXP)).encode()
    refused(sign_raw(good.replace(str(EXP).encode(), number)))


def test_nbf_within_the_leeway_passes():
    assert make().verify(sign(exp=EXP, nbf=int(NOW) + 4), NOW).user == "ada"


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b", "a.b.c", "a.b.c.d.e", "é.b.c", "a b.c.d", "A.A.A", "x" * 17_000, "a." + "b" * 17_000 + ".c"],
    ids=lambda token: token[:8],
)
def test_row_30_what_is_no_token(token):
    refused(token)


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b"[" * 5000, b'{"iss":', b"\xff", b""])
def test_claims_that_are_no_object(body):
    refused(forge({"alg": "HS256"}, body))
    refused(sign_raw(body) if body else forge({"alg": "HS256"}, body))


@pytest.mark.parametrize("header", [b"[]", b"{}", b'{"alg":1}', b'{"alg"', b"[" * 5000])
def test_headers_that_are_no_header(header):
    refused(forge(header, claims(exp=EXP)))


@pytest.mark.parametrize(
    "issuers",
    [
        [SHARED, SHARED],
        [Issuer("short", "HS256", b"short", "i", "a")],
        [Issuer("pem", "HS256", PUBLIC_PEM, "i", "a")],
        [Issuer("nokey", "ES256", b"", "i", "a")],
        [Issuer("noiss", "HS256", SECRET, "", "a")],
        [Issuer("noaud", "HS256", SECRET, "i", "")],
    ],
    ids=lambda issuers: issuers[0].name,
)
def test_a_bad_configuration_is_refused_at_start(issuers):
    with pytest.raises(ValueError, match="issuer"):
        Tokens(issuers)


def test_a_key_on_another_curve_is_refused_at_start():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError, match="P-256"):
        Tokens([Issuer("curve", "ES256", pem, "i", "a")])


def test_an_issuer_never_shows_its_key():
    assert "secret" not in repr(SHARED)
