"""Shell: a service as several workers with one administration: what `--workers N` runs."""

import json
import os
import sys
from collections.abc import Callable, Collection, Mapping

from runtime.process.addresses import split_address
from runtime.process.lifecycle import StartupError, StopSignal, run
from runtime.process.workers import Worker, WorkerGroup, open_own, open_shared
from runtime.process.workers_admin import WorkersAdmin

ADMIN = "admin"  # the listener, of the service and of each worker


def run_workers(
    count: int,
    section: str,
    shared: Mapping[str, str],
    own: Mapping[str, str],
    hosts: Collection[str],
    serve: Callable[[Worker], int],
) -> int:
    """Run `count` workers to their end. The result is the exit code.

    `section`: of the settings. `shared`: addresses of listeners that all workers have, by setting. `own`: those of
    which each has one of its own; `admin` is one, and the service's administration has its address. `hosts`: names of
    that. `serve`: a worker's whole life.
    """
    workers = [Worker(number) for number in range(count)]
    administrator = Worker(count, "the administration of all workers")
    try:
        open_shared(workers, section, shared)
        open_own(workers, section, own)
        open_shared([administrator], section, {ADMIN: own[ADMIN]})
    except StartupError as error:
        print(error, file=sys.stderr)
        return error.exit_code

    def live(worker: Worker) -> int:
        return _administer(administrator, workers, hosts) if worker is administrator else serve(worker)

    return WorkerGroup([*workers, administrator], live, lambda: _print_ready(workers, administrator)).run()


def _administer(administrator: Worker, workers: list[Worker], hosts: Collection[str]) -> int:
    async def main(stop: StopSignal) -> None:
        admin = WorkersAdmin([worker.addresses[ADMIN] for worker in workers], hosts)
        await admin.listen(*split_address(administrator.addresses[ADMIN], ADMIN))
        print(json.dumps({"ready": ADMIN}), flush=True)
        await stop.wait()
        await admin.close()

    return run(main, worker=True)


def _print_ready(workers: list[Worker], administrator: Worker) -> None:
    """The first worker's facts for the whole, with everybody's in `workers`."""
    lines = [worker.ready or {} for worker in workers]
    whole = {**lines[0], "admin": administrator.addresses[ADMIN], "pid": os.getpid(), "workers": lines}
    try:
        print(json.dumps(whole), flush=True)
    except OSError as error:
        raise StartupError(f"stdout: cannot print the ready line: {error.strerror}") from None
