"""The process that fuzzes one target: `python -m tests.fuzz.child TARGET [libFuzzer's arguments]`.

What it fuzzes is imported under instrumentation, so nothing of it may be imported before.
"""

import sys

import atheris

with atheris.instrument_imports(include=["gateway", "registry"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    target = sys.argv[1]
    atheris.Setup([target, *sys.argv[2:]], TARGETS[target])
    atheris.Fuzz()
