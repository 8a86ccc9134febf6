"""The backend with a fault on purpose: once, an edit overtakes the one before it. The viewers' check must then fail.

Only where several edits are in flight: who waits for an edit before typing the next cannot be overtaken.
"""

import argparse
import json
from pathlib import Path

from backend import Document, Event, run, serve
from traces import Patch, apply

from homing.v1.router_pb2_grpc import RouterStub


class Swapping(Document):
    """Swaps the first two neighbours after `swap_at` edits whose order matters."""

    swap_at = 0
    done = False

    async def _answer(self, event: Event) -> None:
        if self.done or self.edits < self.swap_at or event[b"X-Name"] != b"edit":
            return await super()._answer(event)
        later = await self.events.get()
        if later[b"X-Name"] != b"edit" or not self._order_matters(event, later):
            await super()._answer(event)
            return await self._answer(later)
        self.done = True
        self.text = apply(apply(self.text, json.loads(event[b"value"])), json.loads(later[b"value"]))
        self.edits += 2
        for one in (later, event):
            await self._push_edit(one)
        return None

    def _order_matters(self, event: Event, later: Event) -> bool:
        first: list[Patch] = json.loads(event[b"value"])
        second: list[Patch] = json.loads(later[b"value"])
        try:
            return apply(apply(self.text, second), first) != apply(apply(self.text, first), second)
        except ValueError:
            return True


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--run-dir", type=Path, default=Path(".homing"))
    arguments.add_argument("--swap-at", type=int, required=True, metavar="N")
    given = arguments.parse_args()

    def new_document(file: str, router: RouterStub) -> Document:
        document = Swapping(file, router)
        document.swap_at = given.swap_at
        return document

    run(serve(json.loads((given.run_dir / "cluster.json").read_text()), new_document))


if __name__ == "__main__":
    main()
