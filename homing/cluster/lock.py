"""The run-dir's lock: one `homing up` a directory.

The kernel holds it (flock), so it ends with its holder however that one dies; what the file says is only for people.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from homing.cluster.trouble import CommandError


class RunDirLock:
    """Held from `__enter__` to `__exit__`. Trouble: somebody else holds it, and the line says who."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "lock"
        self._file: int | None = None

    def __enter__(self) -> "RunDirLock":
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 32).decode(errors="replace").strip() or "another process"
            os.close(file)
            raise CommandError(
                f"{self._path.parent} is in use by `homing up` with pid {holder}; stop that one (kill {holder}), "
                "or choose another directory with --run-dir"
            ) from None
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)  # the file itself stays: to unlink a locked file would let two holders in
            self._file = None
