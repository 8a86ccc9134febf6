"""Socket.IO's clients in other languages; each is compiled first. `make interop-slow` runs this."""

import asyncio
import shutil
import subprocess

import pytest

from tests.interop.socketio.clients import TRANSPORTS
from tests.interop.socketio.driven import FOLDER, driven
from tests.interop.socketio.rig import HomingRig

pytestmark = [
    pytest.mark.socketio,
    pytest.mark.compiled,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="package"),
]
NEEDS = {"java": ("java", "mvn"), "rust": ("cargo",), "go": ("go",)}
CANNOT_ACK = ("rust",)  # rust_socketio 0.6 does not tell a handler the id that an ack needs
WITHIN = 60.0  # seconds


@pytest.fixture(scope="module", params=NEEDS)
def language(request: pytest.FixtureRequest) -> str:
    """A language whose client is built."""
    missing = [program for program in NEEDS[request.param] if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed. The client in {request.param} has not been tested")
    subprocess.run([str(FOLDER / "compiled" / request.param / "build")], check=True, timeout=500)
    return str(request.param)


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_it_connects_emits_receives_and_acks(homing: HomingRig, language: str, transports: str) -> None:
    user = f"{language}-{transports}"
    run = str(FOLDER / "compiled" / language / "run")
    async with driven(run, homing.url, homing.token(user), transports) as client:
        await client.next("connect", WITHIN)
        hello = await homing.backend.event(user)
        assert (hello.name, hello.args) == ("hello", [f"from {language}"])
        await homing.backend.reply(hello, {"welcome": "grüße"})
        assert (await client.next("acked", WITHIN))["args"] == [{"welcome": "grüße"}]
        acks = language not in CANNOT_ACK
        pushing = asyncio.create_task(homing.backend.push("note", {"n": 1}, ack=acks, user=user))
        assert (await client.next("received", WITHIN))["args"] == [{"n": 1}]
        assert await pushing == (("ACKED", [f"seen by {language}"]) if acks else ("WRITTEN", []))
