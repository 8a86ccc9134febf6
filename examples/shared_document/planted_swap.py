"""The backend with a deliberate fault: once, an edit overtakes the previous edit. The viewers' check must then fail.

Needs several edits in flight: a writer that waits for each push before the next edit cannot be overtaken.
"""

import argparse
import json
from pathlib import Path

from backend import Document, Event, run, serve
from traces import Patch, apply

from homing.v1.router_pb2_grpc import RouterStub


class SwappingDocument(Document):
    """Swaps the first two consecutive edits after `swap_at` edits whose order matters."""

    swap_at = 0
    done = False

    async def _handle(self, event: Event) -> None:
        if self.done or self.edits < self.swap_at or event[b"X-Name"] != b"edit":
            return await super()._handle(event)
        later = await self.events.get()
        if later[b"X-Name"] != b"edit" or not self._order_matters(event, later):
            await super()._handle(event)
            return await self._handle(later)
        self.done = True
        self.text = apply(apply(self.text, json.loads(event[b"value"])), json.loads(later[b"value"]))
        self.edits += 2
        for swapped in (later, event):
            await self._push_edit(swapped)
        return None

    def _order_matters(self, event: Event, later: Event) -> bool:
        first: list[Patch] = json.loads(event[b"value"])
        second: list[Patch] = json.loads(later[b"value"])
        try:
            return apply(apply(self.text, second), first) != apply(apply(self.text, first), second)
        except ValueError:
            return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=Path, default=Path(".homing"))
    parser.add_argument("--swap-at", type=int, required=True, metavar="N")
    arguments = parser.parse_args()

    def new_document(file: str, router: RouterStub) -> Document:
        document = SwappingDocument(file, router)
        document.swap_at = arguments.swap_at
        return document

    run(serve(json.loads((arguments.run_dir / "cluster.json").read_text()), new_document))


if __name__ == "__main__":
    main()
