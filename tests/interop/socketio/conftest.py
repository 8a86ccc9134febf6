"""What the tests with Socket.IO's clients share: the packages from npm, and the servers that clients connect to."""

import fcntl
import importlib.util
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.interop.socketio.clients import Kind
from tests.interop.socketio.driven import FOLDER
from tests.interop.socketio.rig import HomingRig, Rig, homing_rig, reference_rig
from tests.support.servers import Server

NEEDED = ("node", "npm", "haproxy")


@pytest.fixture(scope="session")
def installed() -> None:
    """The packages of package.json beside the drivers, exactly as locked."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}. No test with Socket.IO's clients has run")
    wanted, present = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".package-lock.json"
    with wanted.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not present.exists() or present.stat().st_mtime < wanted.stat().st_mtime:
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=FOLDER, check=True, timeout=200)


@pytest.fixture
def present(kind: Kind) -> Kind:
    """The client, which is installed."""
    if kind.in_python and importlib.util.find_spec("socketio") is None:
        pytest.skip("python-socketio is not installed: `make socketio` does")
    return kind


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def homing(
    installed: None, tmp_path_factory: pytest.TempPathFactory, etcd: Server, redis: Server
) -> AsyncIterator[HomingRig]:
    """Three gateways behind HAProxy. A test that kills one replaces it."""
    async with homing_rig(tmp_path_factory.mktemp("socketio"), etcd, redis) as made:
        yield made


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def references(installed: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Rig]]:
    """The reference server, by parser."""
    async with AsyncExitStack() as stack:
        made = {}
        for parser in ("default", "msgpack"):
            folder = tmp_path_factory.mktemp("reference")
            made[parser] = await stack.enter_async_context(reference_rig(folder, parser))
        yield made


@pytest.fixture(params=["homing", "reference"])
def rig(request: pytest.FixtureRequest, present: Kind) -> Rig:
    """Where the client connects to: what it does at the reference server, it does at Homing's gateways."""
    if request.param == "homing":
        return request.getfixturevalue("homing")
    return request.getfixturevalue("references")[present.parser]
