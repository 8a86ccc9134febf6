"""What a person gets wrong about `homing up` is found before anything starts, with its place and what is right."""

import subprocess
import sys
from pathlib import Path

import pytest

HOMING = [sys.executable, "-P", "-m", "homing"]


def refused(tmp_path: Path, *arguments: str, text: str | None = None, **variables: str) -> str:
    """What is printed; the status must be 2, and nothing may have been started."""
    run_dir, file = tmp_path / "run", tmp_path / "mine.toml"
    if text is not None:
        file.write_text(text)
    config = ["--config", str(file)] if text is not None else []
    command = [
        "env",
        *(f"{name}={value}" for name, value in variables.items()),
        *HOMING,
        "up",
        "--run-dir",
        str(run_dir),
    ]
    done = subprocess.run([*command, *config, *arguments], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert "internal error" not in done.stderr
    assert not (run_dir / "logs").exists()
    return " ".join(done.stderr.split()).replace(str(file), "FILE")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("registry = 5", "FILE: [registry]: is a section, and has no value"),
        ('trace = "x"', "FILE: [trace]: is a section, and has no value"),
        ("gateway = 5", "FILE: [gateway]: is a section, and has no value"),
        ("[gateway]\nlisten = 5", "FILE: [gateway] listen: Expected `str`, got `int`"),
        ('[gateway]\nlisten = "x"', "FILE: [gateway] listen: 'x' is not host:port, such as 127.0.0.1:8400"),
        ('[gateway]\nlisten = "127.0.0.1:65535"', "FILE: [gateway] listen: '127.0.0.1:65535' is for the first process"),
        ("[registry]\netcd = 5", "FILE: [registry] etcd: Expected"),
        ('[bus]\nkind = "kafak"', "FILE: [bus] kind: Invalid enum value 'kafak'; there are: kafka, redis"),
        ("[delivery]\nmod = 1", "FILE: [delivery] mod: unknown; did you mean mode?"),
        ("[gatewy]\n", "FILE: [gatewy]: unknown section; did you mean [gateway]?"),
        ("[auth.issuers.app]\n", "FILE: [auth.issuers.app]: Object missing required field"),
        ("a = " + "[" * 5000, "the configuration FILE is nested too deeply"),
    ],
)
def test_a_mistake_in_the_file(tmp_path, text, words):
    assert words in refused(tmp_path, text=text)


KEY = '[auth.issuers.app]\nalgorithm = "HS256"\niss = "a"\naud = "b"\nkey_file = '


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (KEY + '"short.key"', "auth.issuers.app.key_file: DIR/short.key has 5 bytes without the white space"),
        (KEY + '"none.key"', "FILE: [auth.issuers.app] key_file: DIR/none.key: No such file or directory"),
        (KEY + '"/dev/zero"', "FILE: [auth.issuers.app] key_file: /dev/zero is no regular file"),
        ('[gateway]\nlisten = "0.0.0.0:8400"', "gateway.listen: 0.0.0.0:8400 is not loopback"),
    ],
)
def test_a_mistake_that_a_gateway_would_find_at_its_start(tmp_path, text, words):
    (tmp_path / "short.key").write_text("short")
    assert words in refused(tmp_path, text=text).replace(str(tmp_path), "DIR")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HOMING_BUS__KIND", "kafak", "HOMING_BUS__KIND: [bus] kind: Invalid enum value 'kafak'"),
        ("HOMING_REGISTRY__ETCD", '["x', "HOMING_REGISTRY__ETCD: [registry]: etcd: '[\"x' is not host:port"),
        ("HOMING_ROUTER__GRPC", "x", "HOMING_ROUTER__GRPC: [router] grpc: 'x' is not host:port"),
        ("HOMING_GATEWAY__LISTN", "x", "HOMING_GATEWAY__LISTN: unknown; did you mean HOMING_GATEWAY__LISTEN?"),
        ("HOMING_", "1", "HOMING_: unknown"),
    ],
)
def test_a_mistake_in_a_variable(tmp_path, variable, value, words):
    assert words in refused(tmp_path, text="[log]\n", **{variable: value})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--redis", "redis://[::1"], "'--redis': no URL of Redis, such as redis://127.0.0.1:6379"),
        (["--redis", "127.0.0.1:6379"], "'--redis': no URL of Redis"),
        (["--etcd", "foo"], "'--etcd': 'foo' is not host:port"),
        (["--etcd", ","], "'--etcd': ',' names no address"),
        (["--etcd", '["x'], "'--etcd': '[\"x' is not host:port"),
        (["--kafka", "a:1,b"], "'--kafka': 'b' is not host:port"),
        (["--config", ""], "'--config': '' is no path"),
        (["--config", "/nowhere"], "cannot read the configuration /nowhere: No such file"),
    ],
)
def test_a_mistake_in_an_option(tmp_path, arguments, words):
    assert words in refused(tmp_path, *arguments)


def test_a_run_dir_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "lock").mkdir()
    done = subprocess.run([*HOMING, "up", "--run-dir", str(tmp_path)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (1, f"homing: {tmp_path}/lock: Is a directory\n")


def test_an_empty_run_dir_is_not_the_working_directory(tmp_path):
    done = subprocess.run([*HOMING, "up", "--run-dir", ""], capture_output=True, text=True, timeout=30, cwd=tmp_path)
    assert done.returncode == 2
    assert "'--run-dir': '' is no path" in done.stderr
    assert list(tmp_path.iterdir()) == []
