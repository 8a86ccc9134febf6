"""What `homing up` prints: its progress, then the cluster, for a person or as JSON."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from homing.cluster.cluster_file import ClusterFile
from homing.command.output import OutputClosed, watch_reader
from homing.command.printable import printable_lines


class UpOutput:
    """Prints until a line cannot be printed; the stop of the cluster goes on after that without a word."""

    def __init__(self, run_dir: Path, as_json: bool, has_page: bool) -> None:
        self._run_dir = run_dir
        self._as_json = as_json  # the cluster as one line on stdout, the progress on stderr
        self._has_page = has_page
        self._failed = False
        self._reader_gone = False

    def report_progress(self, line: str) -> None:
        """Print a line. OSError: the first one that cannot be printed."""
        if self._failed:
            return
        try:
            click.echo(printable_lines(line), err=self._as_json)
        except OSError:
            self._failed = True
            raise

    def on_ready(self, cluster: ClusterFile) -> None:
        """Print the cluster."""
        if self._as_json:
            click.echo(msgspec.json.encode(cluster))
        else:
            click.echo(processors_text(len(cluster.gateways) + len(cluster.routers), processors()))
            click.echo(ready_text(self._run_dir, cluster if self._has_page else None))

    @contextmanager
    def stop_without_reader(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` when nobody reads stdout any more."""

        def on_gone() -> None:
            self._reader_gone = self._failed = True
            stop()

        with watch_reader(on_gone):
            yield

    def check_read(self) -> None:
        """OutputClosed: the cluster has been stopped for want of a reader."""
        if self._reader_gone:
            raise OutputClosed("nobody reads the output")


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processors_text(services: int, available: int) -> str:
    """How much of this machine a cluster of so many gateways and routers uses."""
    used = min(services, available)
    return f"Gateways and routers use {used} of {available} processors, one each; --gateways and --routers start more."


def ready_text(run_dir: Path, cluster: "ClusterFile | None" = None) -> str:
    """The next commands, ready to be copied; with a cluster also the address of its development page."""
    import shlex

    option = "" if str(run_dir) == ".homing" else f" --run-dir {shlex.quote(str(run_dir))}"
    page = f"\n  {page_address(cluster)}   a page to try it\n" if cluster and cluster.gateways else ""
    return f"""
Ready. {run_dir}/cluster.json has all addresses. {"In a browser, or in" if page else "In"} other terminals:
{page}
  homing listen{option} --user ada --file notes
  homing push{option} --file notes --event hello --data '{{"text": "hi"}}'
  homing token{option} --user ada --file notes

Ctrl-C stops everything."""


def page_address(cluster: "ClusterFile") -> str:
    """The first gateway's development page; its second user connects to the second gateway, if there is one."""
    hosts = [gateway.url.split("/")[2] for gateway in cluster.gateways[:2]]
    scheme = "https" if cluster.gateways[0].url.startswith("wss:") else "http"
    return f"{scheme}://{hosts[0]}/" + (f"?second={hosts[1]}" if len(hosts) > 1 else "")
