"""Certificates are read again on SIGHUP, and when a file has changed."""

import asyncio
import os
import signal

from gateway.tls.rotation import CertificateRotation


class CountingCertificates:
    """Counts what it is asked for, and notifies."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[str] = asyncio.Queue()

    def reload(self) -> bool:
        self.calls.put_nowait("reload")
        return True

    def reload_if_changed(self) -> bool:
        self.calls.put_nowait("look")
        return False


async def test_sighup_reloads_and_time_looks() -> None:
    certificates = CountingCertificates()
    running = asyncio.create_task(CertificateRotation(certificates, 3600).run())  # type: ignore[arg-type]
    assert await certificates.calls.get() == "look", "a worker that replaces another has what its parent had read"
    os.kill(os.getpid(), signal.SIGHUP)
    assert await certificates.calls.get() == "reload"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    looking = asyncio.create_task(CertificateRotation(certificates, 0.001).run())  # type: ignore[arg-type]
    assert [await certificates.calls.get() for _ in range(2)] == ["look", "look"]
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
