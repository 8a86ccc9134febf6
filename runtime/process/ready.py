"""Shell: the ready line of a service: one line of JSON on stdout, for the process that started the service."""

import gc
import json

from runtime.process.lifecycle import StartupError

GC_THRESHOLD = 50_000  # containers made beyond those freed, before a collection begins; CPython's default is 700


def notify_ready(**facts: object) -> None:
    """Print the ready line, and tune the garbage collector for what follows. StartupError: it cannot be printed.

    Objects of the start-up are never scanned again. The handling of messages makes no cycles, but pushes that wait for
    acks are many containers at once: collections at CPython's threshold took a tenth of a loaded gateway's CPU
    (docs/performance.md, "The article's test").
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    try:
        print(json.dumps(facts), flush=True)
    except OSError as error:
        raise StartupError(f"stdout: cannot print the ready line: {error.strerror}") from None
