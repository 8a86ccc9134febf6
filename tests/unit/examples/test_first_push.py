"""The demo's reader of a command's output."""

import asyncio
import importlib.util
import sys
from pathlib import Path

FILE = Path(__file__).resolve().parents[3] / "examples" / "first_push.py"


def load():
    spec = importlib.util.spec_from_file_location("first_push", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("first_push", module)
    spec.loader.exec_module(module)
    return module


async def test_a_line_over_64_kib_is_cut_and_the_next_one_is_read():
    demo = load()
    stream = asyncio.StreamReader()
    stream.feed_data(b"joined notes\n" + b"x" * 300_000 + b"\n" + b"y" * 70_000 + b"\nhello\nend")
    stream.feed_eof()
    lines = [await demo.read_line(stream) for _ in range(6)]
    assert lines[0] == "joined notes\n"
    assert lines[1] == "x" * demo.SHOWN + " ...\n"
    assert lines[2] == "y" * demo.SHOWN + " ...\n"
    assert lines[3:] == ["hello\n", "end", ""]
