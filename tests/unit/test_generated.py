"""The committed protobuf code is what `make proto` writes today."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def generator():
    spec = importlib.util.spec_from_file_location("homing_proto_generate", ROOT / "proto" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def texts(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text()
        for path in sorted(root.rglob("*_pb2*.py*"))
        if path.suffix != ".pyc"
    }


def test_generated_code_is_current(tmp_path):
    pytest.importorskip("grpc_tools")
    assert generator().generate(tmp_path) == 0
    fresh = texts(tmp_path)
    assert len(fresh) >= 8
    committed = {f"{top}/{name}": text for top in ("homing", "registry") for name, text in texts(ROOT / top).items()}
    assert committed == fresh, "run `make proto`"
