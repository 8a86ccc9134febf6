"""The run-dir's lock: one `homing up` per directory.

An flock of the kernel, so the lock ends with its holder however the holder dies. The pid in the file is for people.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from homing.cluster.errors import CommandError


class RunDirLock:
    """Held from `__enter__` to `__exit__`. CommandError: another process holds the lock; the message has its pid."""

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
                f"{self._path.parent} is in use by `homing up` with pid {holder}; stop that process (kill {holder}), "
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
            os.close(self._file)  # the file stays: unlinking a locked file would allow two holders
            self._file = None
