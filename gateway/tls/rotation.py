"""Shell: reads certificates again on SIGHUP, and when their files have changed."""

import asyncio
import contextlib
import signal

from gateway.tls.contexts import Certificates


class CertificateRotation:
    """Runs as long as the gateway does."""

    def __init__(self, certificates: Certificates, seconds: float) -> None:
        """`seconds`: between two looks at the files."""
        self._certificates = certificates
        self._seconds = seconds
        self._requested = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._requested.set)
        self._certificates.reload_if_changed()  # a worker that replaces another has what its parent had read
        try:
            while True:
                await self._wait()
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._requested.wait()
        if self._requested.is_set():
            self._requested.clear()
            self._certificates.reload()
        else:
            self._certificates.reload_if_changed()
