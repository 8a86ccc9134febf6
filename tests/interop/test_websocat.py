"""websocat, which a registry has only as source. `make interop-slow` compiles it into .tools/ and runs this."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.interop.test_clients import LARGEST, events
from tests.support.calls import push
from tests.support.cluster import Cluster

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module"), pytest.mark.compiled]
TOOLS = Path(__file__).resolve().parents[2] / ".tools" / "bin"


@pytest.fixture(scope="module")
def websocat() -> str:
    found = shutil.which("websocat", path=str(TOOLS)) or shutil.which("websocat")
    assert found is not None, "no websocat: `make interop-slow` compiles it"
    return found


async def start(websocat: str, *arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    limits = ("-B", str(4 * LARGEST))
    return await asyncio.create_subprocess_exec(websocat, *limits, *arguments, stdin=pipe, stdout=pipe, stderr=pipe)


async def test_text_and_a_push(three: Cluster, websocat: str) -> None:
    url = f"{three.gateways[0].url}?token={three.token('cat', 'doc')}&file=doc"
    process = await start(websocat, "--text", "--ping-interval", "1", url)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("grüße ✓\n".encode() + b"x" * (LARGEST - 1) + b"\n")
    await process.stdin.drain()
    got = await events(three, "cat", 2)
    assert [fields[b"value"].rstrip(b"\n") for fields in got] == ["grüße ✓".encode(), b"x" * (LARGEST - 1)]
    report = (await three.router().Push(push(file="doc", data=b'{"n": 1}'))).report
    assert dict(report.counts) == {"WRITTEN": 1}
    assert await asyncio.wait_for(process.stdout.readline(), 5) == b'{"n": 1}\n'
    process.stdin.close()  # it says goodbye by itself
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_binary_and_the_close_code(three: Cluster, websocat: str) -> None:
    url = f"{three.gateways[1].url}?token={three.token('cat-2')}"
    sent = bytes(range(256)) * (LARGEST // 256)
    process = await start(websocat, "--binary", "--one-message", "--no-close", url)
    assert process.stdin is not None
    process.stdin.write(sent)
    await process.stdin.drain()
    process.stdin.close()
    (got,) = await events(three, "cat-2", 1)
    assert got[b"value"] == sent[: len(got[b"value"])]
    assert got[b"Content-Type"] == b"application/octet-stream"
    process.kill()
    await process.wait()

    loud = await start(websocat, "--text", "-E", "-vv", url)
    assert loud.stdin is not None
    loud.stdin.write(b"y" * (LARGEST + 1) + b"\n")
    await loud.stdin.drain()
    _, err = await asyncio.wait_for(loud.communicate(), 10)
    assert b'status_code: 1009, reason: "message too big"' in err
