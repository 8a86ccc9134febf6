"""Lines of a bounded rate: a network namespace, and into it one Ethernet link a client, by iproute2. Needs root.

with SlowLines(20, kbit=64) as lines:
    process = await asyncio.create_subprocess_exec(*lines.inside("client", "..."), ...)
    # which dials lines.host(i); what the host sends on line i leaves at the rate, in packets of 1,500 bytes
"""

import os
import secrets
import shutil
import subprocess
from types import TracebackType

NETWORK = "10.213"  # the i-th line is NETWORK.i.0/30


def missing() -> str:
    """What keeps this machine from making such lines; "" for nothing."""
    if os.geteuid() != 0:
        return "it needs root, to make a network namespace"
    if not (shutil.which("ip") and shutil.which("tc")):
        return "it needs `ip` and `tc`: apt-get install iproute2"
    probe = ["unshare", "-n", "tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "4kb"]
    done = subprocess.run([*probe, "latency", "1s"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"tc cannot bound a rate here: {done.stderr.strip()}"


class SlowLines:
    """A context manager; its end deletes the namespace and with it the links."""

    def __init__(self, count: int, kbit: int) -> None:
        """`kbit`: of one line, kbit/s from the host; the other direction is not bounded."""
        self._name = f"homing-{secrets.token_hex(4)}"
        self._count = count
        self._kbit = kbit

    def host(self, line: int) -> str:
        """The host's address on one line, 0 to `count` - 1."""
        return f"{NETWORK}.{line}.1"

    def inside(self, *command: str) -> list[str]:
        """This command, run at the far end of the lines."""
        return ["ip", "netns", "exec", self._name, *command]

    def __enter__(self) -> "SlowLines":
        _run("ip", "netns", "add", self._name)
        try:
            for line in range(self._count):
                self._add(line)
        except BaseException:
            self._delete()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._delete()

    def _add(self, line: int) -> None:
        near, far = f"{self._name[-8:]}n{line}", f"{self._name[-8:]}f{line}"
        _run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", self._name)
        _run("ip", "address", "add", f"{self.host(line)}/30", "dev", near)
        _run("ip", "link", "set", near, "up")
        _run("ip", "-n", self._name, "address", "add", f"{NETWORK}.{line}.2/30", "dev", far)
        _run("ip", "-n", self._name, "link", "set", far, "up")
        # Packets as on the wire: a veth would carry 64 KiB at once, and the bound would be met in one step.
        _run("ip", "link", "set", near, "gso_max_segs", "1")
        bound = ("rate", f"{self._kbit}kbit", "burst", "3200", "limit", "30000")
        _run("tc", "qdisc", "add", "dev", near, "root", "tbf", *bound)

    def _delete(self) -> None:
        _run("ip", "netns", "delete", self._name)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
