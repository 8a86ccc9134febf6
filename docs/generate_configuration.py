"""Writes docs/configuration.md from the settings structs of both services. Run by `make config-docs`.

A setting's sentence is the comment beside its field, or in the lines directly above the field. A section's text is the
first paragraph of its struct's docstring.
"""

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect as types

from gateway.config import GatewayConfig
from router.config import RouterConfig
from runtime.process.configuration import NOT_SETTINGS, PREFIX
from runtime.process.configuration_check import SECTIONS
from runtime.process.schema import is_file

OUT = Path(__file__).parent / "configuration.md"
LARGEST = (31_536_000, 1_000_000_000, 1_099_511_627_776)  # stated once, in HEAD
SERVICES = {"gateways": GatewayConfig, "routers": RouterConfig}
EXCEPTIONS = ", ".join(f"`{name}`" for name in sorted(NOT_SETTINGS))
HEAD = f"""# Configuration

<!-- Written by `make config-docs` from the settings structs, where each sentence stands beside its field. -->

All services of a cluster may share one TOML file, `--config FILE`: each reads its own sections. An environment variable
overrides the file, and `--set section.key=value` overrides both. Values of variables and flags are plain text where
the setting is a text, else TOML values: `HOMING_REGISTRY__TTL=5`, `--set 'auth.origins=["https://app.example"]'`.

A relative path in the file belongs to the folder of that file, whatever the working directory of the service; in a
variable or a flag it belongs to the working directory. `homing up --config FILE` does the same.

Durations are seconds and sizes are bytes unless a sentence says otherwise; a duration is at most a year, a size
a TiB, a count a billion. A service that finds a mistake exits with
status 2 and one line that names the place and the nearest known name. An unknown key in a section that the service
reads is a mistake, and so is a section that no service has.

A variable that begins with `{PREFIX}` must be a setting. Exceptions: {EXCEPTIONS}, and the variables that Kubernetes
sets for a Service whose name begins with `homing`.
"""


class Setting(NamedTuple):
    """One key of one section."""

    path: tuple[str, ...]
    type: str
    default: str
    sentence: str

    @property
    def name(self) -> str:
        return f"[{'.'.join(self.path[:-1])}] {self.path[-1]}"

    @property
    def variable(self) -> str:
        return PREFIX + "__".join(self.path).upper()


class Section(NamedTuple):
    """One TOML table."""

    path: tuple[str, ...]
    struct: type
    readers: str
    settings: list[Setting]


def sections() -> list[Section]:
    """Every section of every service, each once."""
    structs: dict[str, type] = {}
    readers: dict[str, list[str]] = {}
    for service, config in SERVICES.items():
        for field in types.type_info(config).fields:  # type: ignore[attr-defined]
            assert structs.setdefault(field.name, field.type.cls) is field.type.cls, f"[{field.name}] has two structs"
            readers.setdefault(field.name, []).append(service)
    assert structs.keys() == set(SECTIONS)
    return [one for name in SECTIONS for one in _sections((name,), structs[name], " and ".join(readers[name]))]


def _sections(path: tuple[str, ...], struct: type, readers: str) -> Iterator[Section]:
    section = Section(path, struct, readers, [])
    yield section
    sentences = field_comments(struct)
    for field in types.type_info(struct).fields:  # type: ignore[attr-defined]
        below = (*path, field.encode_name)
        if isinstance(field.type, types.StructType):
            yield from _sections(below, field.type.cls, readers)
        elif isinstance(field.type, types.DictType) and isinstance(field.type.value_type, types.StructType):
            yield from _sections((*below, "NAME"), field.type.value_type.cls, readers)
        else:
            kind = literal_text(struct, field.name) or type_text(field.type)
            section.settings.append(Setting(below, kind, default_text(field), sentences[field.name]))


def field_comments(struct: type) -> dict[str, str]:
    """The comment of each field of a struct and of its bases: beside the field, or in the lines directly above it."""
    found: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            found |= _field_comments(textwrap.dedent(inspect.getsource(base)))
    return found


def _field_comments(source: str) -> dict[str, str]:
    beside: dict[int, str] = {}
    alone: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            where = alone if token.line.strip().startswith("#") else beside
            where[token.start[0]] = token.string.lstrip("# ").strip()
    [class_definition] = ast.parse(source).body
    assert isinstance(class_definition, ast.ClassDef)
    found = {}
    for field in class_definition.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            first = field.lineno
            while first - 1 in alone:
                first -= 1
            lines = [*(alone[line] for line in range(first, field.lineno)), beside.get(field.end_lineno or 0, "")]
            found[field.target.id] = " ".join(filter(None, lines))
    return found


def literal_text(struct: type, name: str) -> str:
    """The values of a Literal, in their order; "" for another type."""
    hint = get_type_hints(struct)[name]
    return _one_of([f"`{_toml(value)}`" for value in get_args(hint)]) if get_origin(hint) is Literal else ""


def _one_of(texts: list[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} or {last}" if first else last


def type_text(kind: types.Type) -> str:
    """A type in words."""
    match kind:
        case types.Metadata() if is_file(kind):
            return "path of a file"
        case types.UnionType():
            return _one_of([type_text(one) for one in kind.types if not isinstance(one, types.NoneType)])
        case types.VarTupleType() | types.ListType():
            return f"list of {type_text(kind.item_type)}"
        case types.BoolType():
            return "`true` or `false`"
        case types.StrType():
            return "text"
        case types.IntType() | types.FloatType():
            word = "integer" if isinstance(kind, types.IntType) else "number"
            return f"{word}{_range_text(kind)}"
    raise TypeError(f"no words for {kind}")


def _range_text(kind: types.IntType | types.FloatType) -> str:
    if kind.gt is not None:
        return f", more than {kind.gt:g}"
    if kind.ge is not None and kind.le not in (None, *LARGEST):
        return f" from {kind.ge:,g} to {kind.le:,}"
    return f", at least {kind.ge:g}" if kind.ge is not None else ""


def default_text(field: types.Field) -> str:
    """A field's default, as TOML."""
    if field.required:
        return "required"
    default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return "none" if default is None else f"`{_toml(default)}`"


def _toml(value: Any) -> str:  # noqa: ANN401 - whatever a default is
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value >= 10_000:
        return f"{value:_}"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value)


def section_text(struct: type) -> str:
    """The first paragraph of a struct's docstring, without the section's name in front."""
    paragraph = " ".join(inspect.getdoc(struct).split("\n\n")[0].split())  # type: ignore[union-attr]
    text = paragraph.partition("`: ")[2] if paragraph.startswith("`[") else paragraph
    return text[:1].upper() + text[1:]


def render() -> str:
    """The whole page."""
    parts = [HEAD]
    for section in sections():
        parts.append(f"\n{'#' * min(len(section.path) + 1, 3)} [{'.'.join(section.path)}]\n")
        text = section_text(section.struct)
        parts.append("\n" + textwrap.fill(f"{text} Read by {section.readers}.", 120) + "\n")
        if section.settings:
            parts.append("\n| key | type | default | variable | meaning |\n|---|---|---|---|---|\n")
        for setting in section.settings:
            cells = (f"`{setting.name}`", setting.type, setting.default, f"`{setting.variable}`", setting.sentence)
            parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    return "".join(parts)


if __name__ == "__main__":
    OUT.write_text(render(), encoding="utf-8")
