"""Core: which handler serves which path of the client port: the one table of the ways in."""

from collections.abc import Callable, Mapping

from gateway.door.ports import PathHandler


class Routes:
    """Exact paths first, then patterns in their order."""

    def __init__(
        self, paths: Mapping[str, PathHandler], patterns: tuple[tuple[Callable[[str], bool], PathHandler], ...] = ()
    ) -> None:
        """`paths`: by the path as it is sent, undecoded. `patterns`: a predicate over such a path, and its handler."""
        self._paths = dict(paths)
        self._patterns = patterns

    def find(self, path: str) -> PathHandler | None:
        """The handler of this path; None: 404."""
        exact = self._paths.get(path)
        if exact is not None:
            return exact
        return next((handler for matches, handler in self._patterns if matches(path)), None)

    def handlers(self) -> list[PathHandler]:
        """Every handler, each once."""
        found = [*self._paths.values(), *(handler for _, handler in self._patterns)]
        return list({id(handler): handler for handler in found}.values())
