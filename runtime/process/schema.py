"""Core: the sections and keys that a configuration struct knows, level by level."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta, inspect

FilePath = Annotated[str, Meta(extra={"is_file": True})]
"""A setting that names a file. Relative in a configuration file, it belongs to that file's folder; "" names none."""


class Level:
    """One table of the configuration: its keys, and the tables below it."""

    def __init__(self, kind: inspect.StructType | inspect.DictType) -> None:
        self.keys: dict[str, Level | None] = {}  # a table, or None: a value
        self.files: set[str] = set()  # the keys whose values name files
        self.struct: type | None = None  # what the table is converted to
        self.named_by_user = isinstance(kind, inspect.DictType)  # any key, as in [auth.issuers]
        self._named: Level | None = None
        self._choices: dict[str, tuple[object, ...]] = {}
        self._types: dict[str, inspect.Type] = {}
        if isinstance(kind, inspect.StructType):
            self.struct = kind.cls
            self.keys = {field.encode_name: _level(field.type) for field in kind.fields}
            self._choices = {field.encode_name: _choices(field.type) for field in kind.fields}
            self.files = {field.encode_name for field in kind.fields if is_file(field.type)}
            self._types = {field.encode_name: field.type for field in kind.fields}
        else:
            self._named = _level(kind.value_type)

    def knows(self, key: str) -> bool:
        """Whether the table may have this key."""
        return self.named_by_user or key in self.keys

    def below(self, key: str) -> "Level | None":
        """The table below a known key; None: the key has a value."""
        return self._named if self.named_by_user else self.keys[key]

    def choices(self, key: str) -> tuple[object, ...]:
        """The values that a known key may have; () for any of its type."""
        return self._choices.get(key, ())

    def knows_path(self, path: list[str]) -> bool:
        """Whether a path of keys leads to a value, or to a table, which may be one value in TOML."""
        level: Level | None = self
        for key in path:
            if level is None or not level.knows(key):
                return False
            level = level.below(key)
        return True

    def takes_text(self, path: Sequence[str]) -> bool:
        """Whether the setting at a path of keys, known or not, is a text, and no number or flag."""
        return _is_text(self._type_at(path))

    def takes_list(self, path: Sequence[str]) -> bool:
        """Whether the setting at a path of keys, known or not, may be a list."""
        kind = self._type_at(path)
        return any(isinstance(one, _LISTS) for one in (kind.types if isinstance(kind, inspect.UnionType) else [kind]))

    def _type_at(self, path: Sequence[str]) -> inspect.Type | None:
        level: Level | None = self
        for key in path[:-1]:
            level = level.below(key) if level is not None and level.knows(key) else None
        return None if level is None else level._types.get(path[-1])

    def value_paths(self, names: list[str]) -> Iterator[list[str]]:
        """The paths of all values. Where the user names a table, the name is the one in `names`, at that depth."""
        keys = names[:1] if self.named_by_user else list(self.keys)
        for key in keys:
            below = self.below(key)
            if below is None:
                yield [key]
            else:
                yield from ([key, *rest] for rest in below.value_paths(names[1:]))


def is_file(kind: inspect.Type) -> bool:
    """Whether a setting of this type is a FilePath."""
    return isinstance(kind, inspect.Metadata) and bool((kind.extra or {}).get("is_file"))


_LISTS = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)


def _is_text(kind: inspect.Type | None) -> bool:
    match kind:
        case inspect.Metadata():
            return _is_text(kind.type)
        case inspect.StrType():
            return True
        case inspect.LiteralType():
            return all(isinstance(value, str) for value in kind.values)
        case inspect.UnionType():
            texts = [_is_text(one) for one in kind.types if not isinstance(one, (*_LISTS, inspect.NoneType))]
            return bool(texts) and all(texts)
    return False


def level_of(struct: type) -> Level:
    """The top level of a configuration struct: its sections."""
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    return Level(kind)


def _level(kind: inspect.Type) -> Level | None:
    return Level(kind) if isinstance(kind, inspect.StructType | inspect.DictType) else None


def _choices(kind: inspect.Type) -> tuple[object, ...]:
    match kind:
        case inspect.LiteralType():
            return tuple(kind.values)
        case inspect.UnionType():
            return tuple(value for one in kind.types for value in _choices(one))
    return ()
