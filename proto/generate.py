"""Compile `proto/` into the generated packages of `homing/` and `registry/`. Run by `make proto`.

`--into DIR` writes elsewhere, for the test that compares.
"""

import argparse
import sys
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
SERVICES = ("homing/v1/router.proto", "homing/internal/v1/node.proto")
MESSAGES_ONLY = ("registry/etcd/v1/etcd.proto",)  # its method paths are etcd's own, written by hand


def generate(into: Path) -> int:
    """Write every *_pb2.py, *_pb2.pyi and *_pb2_grpc.py below `into`; the answer is protoc's exit status."""
    well_known = Path(protoc.__file__).parent / "_proto"
    command = ["protoc", f"-I{HERE}", f"-I{well_known}", f"--python_out={into}", f"--pyi_out={into}"]
    return int(
        protoc.main([*command, *MESSAGES_ONLY]) or protoc.main([*command, f"--grpc_python_out={into}", *SERVICES])
    )


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--into", type=Path, default=HERE.parent)
    return generate(arguments.parse_args().into)


if __name__ == "__main__":
    sys.exit(main())
