"""Kafka for one machine: a single KRaft node of an Apache Kafka that is here, started on loopback.

A broker is a folder of jars and a Java. The folder is KAFKA_HOME's `libs` (an Apache Kafka download), else the one that
`make kafka` fills in a checkout. The data is for development: it lies below the run-dir and is empty at each start.
"""

import base64
import os
import shutil
import struct
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from homing.cluster.process import Child, how_it_ended
from homing.cluster.servers import Program, Started, ask, start_server
from homing.cluster.trouble import CommandError

READY_LIMIT = 60.0  # seconds; measured 2 on an idle machine, and a JVM on a busy one takes many times that
PARTITIONS = 4  # of a topic that nobody made before its first record
CHECKOUT = Path(__file__).resolve().parents[2]

ASK_METADATA = struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0)
"""Kafka's Metadata request v1: size, key, version, correlation 1, no client id, no topics."""

HEAP = ("-Xmx192m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""A small broker that is ready soon: the second compiler would take the cores of what is being tried."""


async def start_kafka(run_dir: Path) -> Started:
    """Start a broker with an empty store. Trouble: no Java, no Kafka here, a name it cannot have, or it does not come
    up."""
    java, libs = find_java(), find_libs()
    folder = run_dir / "kafka"
    if "," in str(folder):  # its settings have no way to write one: half of it would be a folder of its own
        raise CommandError(
            f"Kafka cannot keep its data in {folder}: there is a comma in the name; use another --run-dir"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    await _format(java, libs, folder, run_dir / "logs" / "kafka-format.log")

    def command(ports: list[int]) -> list[str]:
        file = write_properties(folder, ports[0], ports[1])
        return java_command(java, libs, "kafka.Kafka", str(file))

    program = Program(java, f"{libs}")
    return await start_server("kafka", program, command, 2, run_dir, _answers, READY_LIMIT)


def find_java(environment: Mapping[str, str] = os.environ) -> str:
    """JAVA_HOME's java, else the one on PATH. Trouble: neither."""
    home = environment.get("JAVA_HOME")
    path = f"{home}/bin" if home and os.access(f"{home}/bin/java", os.X_OK) else environment.get("PATH", os.defpath)
    if found := shutil.which("java", path=path):
        return found
    raise CommandError(f"Kafka needs java (17 or newer), and there is none on PATH or in JAVA_HOME; {_without()}")


def find_libs(environment: Mapping[str, str] = os.environ, checkout: Path = CHECKOUT) -> Path:
    """The folder of Kafka's jars. Trouble: there is none."""
    home = environment.get("KAFKA_HOME")
    libs = Path(home) / "libs" if home else checkout / ".tools" / "kafka" / "libs"
    if next(libs.glob("kafka_*.jar"), None):
        return libs
    if home:
        raise CommandError(
            f"KAFKA_HOME={home} has no libs/kafka_*.jar: is it the folder of an Apache Kafka? {_without()}"
        )
    made = "`make kafka` brings one (with Maven)" if (checkout / "Makefile").is_file() else "download Apache Kafka"
    raise CommandError(f"no Kafka here: {made}, or name its folder in KAFKA_HOME; {_without()}")


def java_command(java: str, libs: Path, main: str, *arguments: str) -> list[str]:
    """One of Kafka's programs."""
    return [java, *HEAP, "-cp", f"{libs}/*", main, *arguments]


def write_properties(folder: Path, port: int, controller: int, extra: Mapping[str, str] = MappingProxyType({})) -> Path:
    """Broker and controller in one, on loopback; its data lies in `folder`/data. `extra`: more of its settings."""
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
    """As java.util.Properties reads it: Latin-1, with backslashes for everything else."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    pairs = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(unit) if 0x20 <= unit < 0x7F else f"\\u{unit:04x}" for unit in pairs)


def cluster_id() -> str:
    """A new cluster's id, as Kafka writes it: 22 characters, of which the first is no -, or it looks like an option."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return made


def knows_itself(answer: bytes) -> bool:
    """Whether the first 12 bytes of an answer to ASK_METADATA name a broker; before that it can do nothing."""
    if len(answer) < 12:
        return False
    _, correlation, brokers = struct.unpack(">iii", answer)
    return bool(correlation == 1 and brokers >= 1)


async def _answers(port: int) -> bool:
    return knows_itself(await ask(port, ASK_METADATA, 12))


async def _format(java: str, libs: Path, folder: Path, log: Path) -> None:
    file = write_properties(folder, 0, 1)  # the ports do not matter yet
    command = java_command(java, libs, "kafka.tools.StorageTool", "format", "-t", cluster_id(), "-c", str(file))
    try:
        child = await Child.start("kafka-format", command, log)
    except OSError as error:
        raise CommandError(f"Kafka cannot be run: {java}: {error.strerror}") from None
    try:
        status = await child.wait_gone()
    except BaseException:
        await child.kill()
        raise
    if status:
        text = f"Kafka could not make its store: {how_it_ended(status)}; the end of {log}:"
        raise CommandError("\n  ".join([text, *child.last_lines()]))


def _without() -> str:
    return "--kafka HOST:PORT names one that runs already, and --bus redis needs none"
