"""File, environment, flags: rising order, and mistakes that name their place."""

from pathlib import Path

import msgspec
import pytest

from runtime.process.configuration import ConfigurationError, load


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    depth: int = 1


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:1"
    tags: tuple[str, ...] = ()
    inner: Inner = Inner()


class Config(msgspec.Struct, frozen=True):
    gateway: Gateway = Gateway()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "homing.toml"
    place.write_text('[gateway]\nlisten = "from the file"\ntags = ["a"]\n[router]\nanything = 1\n')
    return place


def test_each_layer_overrules_the_one_below(file: Path) -> None:
    assert load(Config, None, {}, []) == Config()
    assert load(Config, file, {}, []).gateway == Gateway("from the file", ("a",))
    environ = {"HOMING_GATEWAY__LISTEN": "from the environment", "HOMING_RUN_DIR": "no setting", "PATH": "x"}
    assert load(Config, file, environ, []).gateway.listen == "from the environment"
    assert load(Config, file, environ, ["gateway.listen=from a flag"]).gateway.listen == "from a flag"


def test_values_are_toml_or_plain_text() -> None:
    environ = {"HOMING_GATEWAY__TAGS": '["x", "y"]', "HOMING_GATEWAY__INNER__DEPTH": "5"}
    assert load(Config, None, environ, []).gateway == Gateway(tags=("x", "y"), inner=Inner(5))
    assert load(Config, None, {}, ["gateway.listen=127.0.0.1:9"]).gateway.listen == "127.0.0.1:9"


@pytest.mark.parametrize(
    ("environ", "flags", "words"),
    [
        ({}, ["gateway.prot=1"], "gateway: Object contains unknown field `prot`"),
        ({}, ["gateway.inner.depth=deep"], "gateway.inner.depth"),
        ({"HOMING_GATEWAY__INNER__DEPTH": "deep"}, [], "gateway.inner.depth"),
        ({}, ["gatway.listen=x"], "unknown section [gatway]"),
        ({}, ["listen=x"], "expected section.key=value"),
        ({}, ["gateway.listen=x", "gateway.listen.y=z"], "listen is a value"),
    ],
)
def test_a_mistake_names_its_place(environ: dict[str, str], flags: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words.replace("[", r"\[").replace(".", r"\.")):
        load(Config, None, environ, flags)


def test_a_file_that_is_not_there_or_not_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.toml: No such file"):
        load(Config, tmp_path / "absent.toml", {}, [])
    (tmp_path / "broken.toml").write_text("[gateway\n")
    with pytest.raises(ConfigurationError, match=r"broken\.toml: .*line 1"):
        load(Config, tmp_path / "broken.toml", {}, [])
