"""Kafka for one machine: a single KRaft node of a local Apache Kafka, started on loopback.

A broker needs Java and a folder of jars: KAFKA_HOME's `libs` (an Apache Kafka download), else the folder that
`make kafka` fills in a checkout. The data is for development: below the run-dir, and empty at each start.
"""

import base64
import os
import shutil
import struct
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from homing.cluster.errors import CommandError
from homing.cluster.process import ChildProcess, exit_reason
from homing.cluster.servers import RunningServer, ServerProgram, query, start_server

READY_TIMEOUT = 60.0  # seconds; 2 measured on an idle machine, many times that for a JVM on a busy machine
PARTITIONS = 4  # of a topic that is created by its first record
CHECKOUT = Path(__file__).resolve().parents[2]

METADATA_REQUEST = struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0)
"""Kafka's Metadata request v1: size, key, version, correlation 1, no client id, no topics."""

HEAP = ("-Xmx192m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""JVM options of a small broker that starts fast: the second compiler would compete for the cores."""


async def start_kafka(run_dir: Path) -> RunningServer:
    """Start a broker with an empty store. CommandError: no Java, no Kafka, an impossible data path, or a failed
    start."""
    java, libs = find_java(), find_libs()
    folder = run_dir / "kafka"
    if "," in str(folder):  # `log.dir` is a comma-separated list without an escape
        raise CommandError(
            f"Kafka cannot keep its data in {folder}: there is a comma in the name; use another --run-dir"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    await _format(java, libs, folder, run_dir / "logs" / "kafka-format.log")

    def command(ports: list[int]) -> list[str]:
        file = write_properties(folder, ports[0], ports[1])
        return java_command(java, libs, "kafka.Kafka", str(file))

    program = ServerProgram(java, f"{libs}")
    return await start_server("kafka", program, command, 2, run_dir, _is_ready, READY_TIMEOUT)


def find_java(environment: Mapping[str, str] = os.environ) -> str:
    """JAVA_HOME's java, else java from PATH. CommandError: neither exists."""
    home = environment.get("JAVA_HOME")
    path = f"{home}/bin" if home and os.access(f"{home}/bin/java", os.X_OK) else environment.get("PATH", os.defpath)
    if found := shutil.which("java", path=path):
        return found
    raise CommandError(f"Kafka needs java (17 or newer), and there is none on PATH or in JAVA_HOME; {_alternatives()}")


def find_libs(environment: Mapping[str, str] = os.environ, checkout: Path = CHECKOUT) -> Path:
    """The folder of Kafka's jars. CommandError: there is none."""
    home = environment.get("KAFKA_HOME")
    libs = Path(home) / "libs" if home else checkout / ".tools" / "kafka" / "libs"
    if next(libs.glob("kafka_*.jar"), None):
        return libs
    if home:
        raise CommandError(
            f"KAFKA_HOME={home} has no libs/kafka_*.jar: is it the folder of an Apache Kafka? {_alternatives()}"
        )
    install = "`make kafka` installs one (with Maven)" if (checkout / "Makefile").is_file() else "download Apache Kafka"
    raise CommandError(f"no Kafka here: {install}, or name its folder in KAFKA_HOME; {_alternatives()}")


def java_command(java: str, libs: Path, main: str, *arguments: str) -> list[str]:
    """The command line of one of Kafka's programs, by its main class."""
    return [java, *HEAP, "-cp", f"{libs}/*", main, *arguments]


def write_properties(folder: Path, port: int, controller: int, extra: Mapping[str, str] = MappingProxyType({})) -> Path:
    """Write server.properties for a broker and controller in one process, on loopback, with its data in `folder`/data.

    `extra`: further properties. Returns the path of the file.
    """
    single = dict.fromkeys(
        (
            "offsets.topic.replication.factor",
            "transaction.state.log.replication.factor",
            "transaction.state.log.min.isr",
            "share.coordinator.state.topic.replication.factor",
            "share.coordinator.state.topic.min.isr",
            "offsets.topic.num.partitions",
            "transaction.state.log.num.partitions",
        ),
        "1",
    )
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dir": str(folder / "data"),
        "num.partitions": str(PARTITIONS),
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.threads": "1",
        "log.cleaner.dedupe.buffer.size": "4194304",
        **single,
        **extra,
    }
    file = folder / "server.properties"
    file.write_text("".join(f"{name}={_escaped(value)}\n" for name, value in settings.items()), encoding="ascii")
    return file


def _escaped(value: str) -> str:
    """A value as java.util.Properties reads it: printable ASCII unchanged, everything else escaped as UTF-16 units."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    pairs = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(unit) if 0x20 <= unit < 0x7F else f"\\u{unit:04x}" for unit in pairs)


def cluster_id() -> str:
    """A new cluster id in Kafka's format: 22 characters; the first is not -, which would look like an option."""
    while (new_id := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return new_id


def lists_a_broker(response: bytes) -> bool:
    """Whether the first 12 bytes of a response to METADATA_REQUEST list a broker: the broker is then ready."""
    if len(response) < 12:
        return False
    _, correlation, brokers = struct.unpack(">iii", response)
    return bool(correlation == 1 and brokers >= 1)


async def _is_ready(port: int) -> bool:
    return lists_a_broker(await query(port, METADATA_REQUEST, 12))


async def _format(java: str, libs: Path, folder: Path, log: Path) -> None:
    file = write_properties(folder, 0, 1)  # any ports: nothing listens yet
    command = java_command(java, libs, "kafka.tools.StorageTool", "format", "-t", cluster_id(), "-c", str(file))
    try:
        child = await ChildProcess.start("kafka-format", command, log)
    except OSError as error:
        raise CommandError(f"Kafka cannot be run: {java}: {error.strerror}") from None
    try:
        status = await child.wait_exited()
    except BaseException:
        await child.kill()
        raise
    if status:
        text = f"Kafka could not make its store: {exit_reason(status)}; the end of {log}:"
        raise CommandError("\n  ".join([text, *child.log_tail()]))


def _alternatives() -> str:
    return "--kafka HOST:PORT names one that runs already, and --bus redis needs none"
