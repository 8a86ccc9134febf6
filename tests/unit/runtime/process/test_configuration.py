"""File, variables, flags: the last one counts; a mistake names its place and the nearest known name."""

import os
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from runtime.process.configuration import ConfigurationError, load
from runtime.process.schema import FilePath


class Inner(msgspec.Struct, frozen=True):  # unknown keys are found without forbid_unknown_fields, too
    depth: int = 1


class Issuer(msgspec.Struct, frozen=True):
    key_file: FilePath
    leeway: float = 1.0


class Auth(msgspec.Struct, frozen=True):
    issuers: dict[str, Issuer] = {}


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:1"
    tags: tuple[str, ...] = ()
    max_message: int = 1
    inner: Inner = Inner()
    hosts: tuple[str, ...] | str = ()
    kind: Literal["a", "b"] = "a"


class Config(msgspec.Struct, frozen=True):
    gateway: Gateway = Gateway()
    auth: Auth = Auth()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "homing.toml"
    path.write_text('[gateway]\nlisten = "from the file"\ntags = ["a"]\n[router]\nanything = 1\n')
    return path


def mistake(file: Path | None, environ: dict[str, str], *assignments: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        load(Config, file, environ, assignments)
    return str(error.value)


def test_each_layer_overrides_the_ones_before(file: Path) -> None:
    assert load(Config, None, {}, []) == Config()
    assert load(Config, file, {}, []).gateway == Gateway("from the file", ("a",))
    environ = {"HOMING_GATEWAY__LISTEN": "from the environment", "PATH": "x"}
    assert load(Config, file, environ, []).gateway.listen == "from the environment"
    assert load(Config, file, environ, ["gateway.listen=from a flag"]).gateway.listen == "from a flag"


def test_values_are_toml_or_plain_text() -> None:
    environ = {"HOMING_GATEWAY__TAGS": '["x", "y"]', "HOMING_GATEWAY__INNER__DEPTH": "5"}
    assert load(Config, None, environ, []).gateway == Gateway(tags=("x", "y"), inner=Inner(5))
    assert load(Config, None, {}, ["gateway.listen=127.0.0.1:9"]).gateway.listen == "127.0.0.1:9"
    assert load(Config, None, {"HOMING_GATEWAY__INNER": "{depth = 7}"}, []).gateway.inner == Inner(7)


def test_a_user_names_tables(file: Path) -> None:
    environ = {"HOMING_AUTH__ISSUERS__ONE__KEY_FILE": str(file)}
    issuers = load(Config, None, environ, [f"auth.issuers.two.key_file={file}"]).auth.issuers
    assert issuers == {"one": Issuer(str(file)), "two": Issuer(str(file))}


def test_a_relative_path_belongs_to_the_folder_of_the_file_and_elsewhere_to_the_working_directory(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = file.parent
    file.write_text(f'[auth.issuers.a]\nkey_file = "keys/a"\n[auth.issuers.b]\nkey_file = "{folder}/keys/b"\n')
    for name in ("keys/a", "keys/b", "work/keys/a", "work/keys/b"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    monkeypatch.chdir(folder / "work")
    issuers = load(Config, file, {}, []).auth.issuers
    assert issuers == {"a": Issuer(str(folder / "keys/a")), "b": Issuer(f"{folder}/keys/b")}
    environ = {"HOMING_AUTH__ISSUERS__A__KEY_FILE": "keys/a"}
    issuers = load(Config, file, environ, ["auth.issuers.b.key_file=keys/b"]).auth.issuers
    assert issuers == {"a": Issuer("keys/a"), "b": Issuer("keys/b")}


def test_a_path_that_is_no_text_is_named_as_it_is_written(file: Path) -> None:
    file.write_text("[auth.issuers.a]\nkey_file = 5\n")
    assert mistake(file, {}) == f"{file}: [auth.issuers.a] key_file: Expected `str`, got `int`"
    file.write_text("[auth]\nissuers = 5\n")
    assert mistake(file, {}) == f"{file}: [auth] issuers: is a section, and has no value"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("gatway.listen=x", "[gatway]: unknown section; did you mean [gateway]?"),
        ("colour.red=1", "[colour]: unknown section; there are: auth, bus, commands, delivery, events, gateway, "),
        ("gateway.lisen=x", "[gateway] lisen: unknown; did you mean listen?"),
        ("gateway.colour=x", "[gateway] colour: unknown; there are: hosts, inner, kind, listen, max_message, tags"),
        ("gateway.inner.deptth=1", "[gateway.inner] deptth: unknown; did you mean depth?"),
        ("auth.issuer.a.key_file=/x", "[auth] issuer: unknown; did you mean issuers?"),
        ("auth.issuers.a.keyfile=/x", "[auth.issuers.a] keyfile: unknown; did you mean key_file?"),
        ("gateway.listen.y=z", "[gateway] listen: is no section, but has a value"),
        ("gateway.inner=5", "[gateway] inner: is a section, and has no value"),
        ("gateway.inner.depth=deep", "[gateway.inner] depth: Expected `int`"),
        ("gateway.tags=[1]", "[gateway] tags: Expected `str`, got `int`"),
        ("auth.issuers.b.leeway=1", "[auth.issuers.b]: Object missing required field `key_file`"),
        ("listen=x", "expected section.key=value"),
        ("gateway.listen", "expected section.key=value"),
        ("gateway.=x", "expected section.key=value"),
        ("gateway..listen=x", "expected section.key=value"),
        (".listen=x", "expected section.key=value"),
        ("gateway.kind=5", "[gateway] kind: Invalid enum value '5'; there are: a, b"),
        ('gateway.tags=["a", "b\\n"]', "[gateway] tags: has a control character, U+000A"),
    ],
)
def test_a_mistake_in_a_flag(assignment: str, message: str) -> None:
    assert mistake(None, {}, assignment).startswith(f"--set {assignment}: {message}")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("HOMING_GATEWAY_MAX_MESSAGE", "5", "unknown; did you mean HOMING_GATEWAY__MAX_MESSAGE?"),
        ("HOMING__GATEWAY__MAX__MESSAGE", "5", "unknown; did you mean HOMING_GATEWAY__MAX_MESSAGE?"),
        ("HOMING_GATEWAY__INNER_DEPTH", "5", "unknown; did you mean HOMING_GATEWAY__INNER__DEPTH?"),
        ("HOMING_GATEWAY__LISTN", "x", "unknown; did you mean HOMING_GATEWAY__LISTEN?"),
        ("HOMING_GATWAY__LISTEN", "x", "unknown; did you mean HOMING_GATEWAY__LISTEN?"),
        ("HOMING_GATEWAY__LISTEN__HOST", "x", "unknown; did you mean HOMING_GATEWAY__LISTEN?"),
        ("HOMING_GATEWAY__INNER__DEPHT", "1", "unknown; did you mean HOMING_GATEWAY__INNER__DEPTH?"),
        ("HOMING_AUTH__ISSUERS__A__KEYFILE", "/x", "unknown; did you mean HOMING_AUTH__ISSUERS__A__KEY_FILE?"),
        ("HOMING_ROUTER_GRPC", "x", "unknown; did you mean HOMING_ROUTER__GRPC?"),
        ("HOMING_COLOUR", "red", "unknown; a setting is named HOMING_SECTION__KEY"),
        ("HOMING_GATEWAY", "x", "unknown; "),
        ("HOMING_", "1", "unknown; a setting is named HOMING_SECTION__KEY"),
        ("HOMING___", "1", "unknown; "),
        ("HOMING_GATEWAY__", "1", "unknown; "),
        ("HOMING_AUTH__ISSUERS__", "1", "unknown; "),
        ("HOMING_AUTH__ISSUERS____KEY_FILE", "1", "unknown; "),
        ("HOMING_GATEWAY__INNER__DEPTH", "5\nother = 6", "[gateway.inner] depth: has a control character, U+000A"),
        ("HOMING_GATEWAY__LISTEN", "a\n", "[gateway] listen: has a control character, U+000A"),
        ("HOMING_GATEWAY__MAX_MESSAGE", "many", "[gateway] max_message: Expected `int`"),
        ("HOMING_GATEWAY__INNER", "{deptth = 1}", "[gateway.inner] deptth: unknown; did you mean depth?"),
    ],
)
def test_a_mistake_in_a_variable(variable: str, value: str, message: str) -> None:
    assert mistake(None, {variable: value}).startswith(f"{variable}: {message}")


@pytest.mark.parametrize(
    "variable",
    [
        "HOMING_DEBUG",
        "HOMING_ROUTER__ANYTHING",  # a section of another service
        "HOMING_SERVICE_HOST",
        "HOMING_GATEWAY_SERVICE_PORT_CLIENTS",
        "HOMING_GATEWAY_PORT",
        "HOMING_GATEWAY_PORT_8400_TCP_ADDR",
        "MY_HOMING_GATEWAY_LISTEN",
    ],
)
def test_variables_that_are_no_settings_of_this_service(variable: str) -> None:
    assert load(Config, None, {variable: "tcp://10.0.0.1:8400"}, []) == Config()


def test_a_mistake_in_the_file(file: Path) -> None:
    file.write_text("[gateway]\nlistn = 1\n")
    assert mistake(file, {}) == f"{file}: [gateway] listn: unknown; did you mean listen?"
    file.write_text("[gatewy]\n")
    assert mistake(file, {}) == f"{file}: [gatewy]: unknown section; did you mean [gateway]?"
    file.write_text("gateway = 5\n")
    assert mistake(file, {}) == f"{file}: [gateway]: is a section, and has no value"


def test_a_wrong_value_is_named_with_the_place_that_counts(file: Path) -> None:
    file.write_text("[gateway]\nmax_message = 'many'\n")
    assert mistake(file, {}).startswith(f"{file}: [gateway] max_message: Expected `int`")
    assert mistake(file, {}, "gateway.max_message=few").startswith(
        "--set gateway.max_message=few: [gateway] max_message"
    )
    file.write_text("[auth.issuers.one]\nkey_file = '/1'\n[auth.issuers.two]\nkey_file = 2\n")
    assert mistake(file, {}) == f"{file}: [auth.issuers.two] key_file: Expected `str`, got `int`"


def test_a_wrong_value_below_another_place(file: Path) -> None:
    file.write_text("[gateway]\nmax_message = 'many'\n")
    environ = {"HOMING_GATEWAY__LISTEN": "x"}
    assert mistake(file, environ, "auth.issuers.a.key_file=/a").startswith(
        f"{file}: [gateway] max_message: Expected `int`"
    )


def test_a_required_section_that_is_missing() -> None:
    class NeedsAuth(msgspec.Struct):
        auth: Auth

    with pytest.raises(ConfigurationError, match=r"^Object missing required field `auth`$"):
        load(NeedsAuth, None, {}, [])


def test_a_file_that_is_not_there_or_not_toml(tmp_path: Path) -> None:
    assert mistake(tmp_path / "absent.toml", {}) == f"{tmp_path}/absent.toml: No such file or directory"
    (tmp_path / "broken.toml").write_text("[gateway\n")
    assert "broken.toml: Expected ']'" in mistake(tmp_path / "broken.toml", {})
    (tmp_path / "binary.toml").write_bytes(b"\xff")
    assert "binary.toml: 'utf-8' codec" in mistake(tmp_path / "binary.toml", {})
    (tmp_path / "deep.toml").write_text("gateway = " + "[" * 5000)
    assert mistake(tmp_path / "deep.toml", {}) == f"{tmp_path}/deep.toml: nested too deeply"
    (tmp_path / "long.toml").write_text("[gateway]\nmax_message = " + "9" * 5000)
    assert "long.toml: Exceeds the limit" in mistake(tmp_path / "long.toml", {})
    assert mistake(Path("/dev/zero"), {}) == "/dev/zero: more than 1048576 bytes"
    assert mistake(tmp_path, {}) == f"{tmp_path}: Is a directory"


@pytest.mark.parametrize("text", ["42", "true", "1.50", "2026-01-01", "{}", "[1]", "a # b", "nan", "0x10"])
def test_a_setting_that_is_a_text_has_the_text_as_its_value(text: str) -> None:
    assert load(Config, None, {}, [f"gateway.listen={text}"]).gateway.listen == text
    assert load(Config, None, {"HOMING_GATEWAY__LISTEN": text}, []).gateway.listen == text


def test_a_text_may_be_quoted_and_a_list_may_be_a_text() -> None:
    assert load(Config, None, {}, ['gateway.listen="42"']).gateway.listen == "42"
    assert load(Config, None, {}, ['gateway.hosts=["a"]']).gateway.hosts == ("a",)
    assert load(Config, None, {}, ["gateway.hosts=42"]).gateway.hosts == "42"


def test_a_structs_own_check_is_placed_where_its_setting_is(file: Path) -> None:
    class Checked(msgspec.Struct, frozen=True):
        first: str = ""
        second: str = ""

        def __post_init__(self) -> None:
            if self.first:
                raise ValueError(f"first: {self.first!r} is wrong")

    class Sections(msgspec.Struct, frozen=True):
        gateway: Checked = Checked()

    file.write_text("[gateway]\nfirst = 'x'\n")
    with pytest.raises(ConfigurationError) as caught:
        load(Sections, file, {"HOMING_GATEWAY__SECOND": "y"}, [])
    assert str(caught.value) == f"{file}: [gateway]: first: 'x' is wrong"


def test_tables_below_the_file_have_their_place(file: Path) -> None:
    below = [("the defaults", {"gateway": {"listen": "from the defaults", "max_message": 7}})]
    settings = load(Config, file, {}, [], below).gateway
    assert (settings.listen, settings.max_message) == ("from the file", 7)
    below.append(("the user's", {"gateway": {"max_message": "x"}}))
    with pytest.raises(ConfigurationError, match=r"^the user's: \[gateway\] max_message: Expected"):
        load(Config, file, {}, [], below)


def test_a_file_that_a_setting_names_is_a_regular_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(1_048_577)
    for name, reason in (
        ("/dev/zero", " is no regular file"),
        (tmp_path, " is no regular file"),
        (tmp_path / "pipe", " is no regular file"),
        (tmp_path / "large", " has 1048577 bytes; a key or a certificate has at most 1048576"),
        (tmp_path / "none", ": No such file or directory"),
    ):
        assignment = f"auth.issuers.a.key_file={name}"
        assert mistake(None, {}, assignment) == f"--set {assignment}: [auth.issuers.a] key_file: {name}{reason}"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("gateway.listen=a\x07b", "--set gateway.listen=a\\x07b: [gateway] listen: has a control character, U+0007"),
        ("gateway.max_message=" + "[" * 5000, f"--set gateway.max_message={'[' * 177}...: [gateway] max_message: "),
        ("gateway.max_message=" + "9" * 5000, f"--set gateway.max_message={'9' * 177}...: [gateway] max_message: "),
        ("gateway\n", "--set gateway\\n: expected section.key=value"),
    ],
)
def test_a_flag_is_shown_on_one_line(assignment: str, message: str) -> None:
    assert mistake(None, {}, assignment).startswith(message)


def test_a_file_may_have_a_number_for_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "42").touch()
    monkeypatch.chdir(tmp_path)
    assert load(Config, None, {}, ["auth.issuers.a.key_file=42"]).auth.issuers == {"a": Issuer("42")}


def test_a_union_is_a_text_when_it_has_one_and_no_number() -> None:
    class Mixed(msgspec.Struct):
        name: str | None = None
        names: tuple[str, ...] | None = None
        number: str | int = ""

    class Sections(msgspec.Struct):
        gateway: Mixed

    read = load(Sections, None, {}, ["gateway.name=5", 'gateway.names=["a"]', "gateway.number=5"]).gateway
    assert (read.name, read.names, read.number) == ("5", ("a",), 5)
