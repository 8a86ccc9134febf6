"""Shell: when the garbage collector looks at what, for the little that it finds here.

A collection visits every object that it may have to free. One that visits a table of a million routes takes 100 ms, in
which nobody is served, and finds nothing: routes make no cycles, and are freed by their counts.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """While much is made that lives on: no collection. Afterwards none visits what is there by then."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
