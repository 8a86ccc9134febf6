"""Callers in other languages, exactly as examples/callers shows them, against a real cluster."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, connect

pytestmark = [pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
CALLERS = Path(__file__).resolve().parents[2] / "examples" / "callers"
NEEDS = {"node": ("node", "npm"), "go": ("go",), "java": ("java", "mvn")}
LANGUAGES = ["node", *(pytest.param(name, marks=pytest.mark.compiled) for name in ("go", "java"))]


async def run(language: str, *arguments: str) -> tuple[int, str, str]:
    for program in NEEDS[language]:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: the caller in {language} has not been tested")
    environment = {**os.environ, "PROTOC": f"{sys.executable} -m grpc_tools.protoc"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        str(CALLERS / language / "run"), *arguments, stdout=pipe, stderr=pipe, env=environment
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.parametrize("language", LANGUAGES)
async def test_it_pushes_to_a_user_and_prints_the_report(three: Cluster, language: str) -> None:
    user, gateway = f"caller-{language}", three.gateways[0]
    router = str(three.routers[0].facts["grpc"])
    async with connect(three, gateway, user) as client:
        status, out, err = await run(language, router, user)
        assert status == 0, err
        message = await client.receive()
    assert (message["event"], message["data"]) == ("hello", {"from": language})
    report = json.loads(out)
    assert report["pushId"] == message["push"]
    assert report["counts"] == {"WRITTEN": 1}
    (delivery,) = report["deliveries"]
    assert (delivery["session"], delivery["user"], delivery["node"]) == (str(client.sid), user, gateway.node)
    assert delivery["outcome"] == "WRITTEN"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_refusal_is_told_with_its_status(three: Cluster, language: str) -> None:
    status, out, err = await run(language, str(three.routers[0].facts["grpc"]), "")
    assert (status != 0, out) == (True, "")
    assert err
