"""Settings from a YAML file, each with the line it stands on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import yaml


class FileEntry(NamedTuple):
    """One ``category: {name: value}`` of the file, or one that is not of that form."""

    category: str
    name: str | None
    """None when the category does not hold a mapping."""
    value: object
    source: str
    """File, line and key, for messages."""


def read_settings_file(path: Path, problems: list[str]) -> list[FileEntry]:
    """Read the entries in order; whatever is wrong with the file as a whole goes to ``problems``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        problems.append(f"{path}: cannot be read: {reason}")
        return []
    return _parse(text, path.name, problems)


def _parse(text: str, file_name: str, problems: list[str]) -> list[FileEntry]:
    import yaml  # noqa: PLC0415  # only who has a file pays for the parser

    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None or loader.construct_object(root) is None:
            return []
        if not isinstance(root, yaml.MappingNode):
            problems.append(f"{file_name}: is not a mapping of categories")
            return []
        return list(_entries(loader, root, file_name, problems))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file_name}:{mark.line + 1}" if mark else file_name
        problems.append(f"{where}: is not YAML: {getattr(error, 'problem', None) or 'unreadable'}")
        return []
    finally:
        loader.dispose()


def _entries(
    loader: yaml.SafeLoader, root: yaml.MappingNode, file_name: str, problems: list[str]
) -> Iterator[FileEntry]:
    import yaml  # noqa: PLC0415  # as above

    for category, category_node in _pairs(loader, root, file_name, problems):
        line = category_node.start_mark.line + 1
        if isinstance(category_node, yaml.MappingNode):
            for name, node in _pairs(loader, category_node, f"{file_name} in {category}", problems):
                source = f"{file_name}:{node.start_mark.line + 1} {category}.{name}"
                yield FileEntry(category, name, loader.construct_object(node, deep=True), source)
        elif loader.construct_object(category_node) is not None:  # an empty category is one whose lines are comments
            yield FileEntry(category, None, None, f"{file_name}:{line} {category}")


def _pairs(
    loader: yaml.SafeLoader, mapping: yaml.Node, where: str, problems: list[str]
) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the pairs of a mapping; a key that stands there twice is a problem, not a silent last word."""
    seen: set[str] = set()
    for key_node, node in mapping.value:
        key = str(loader.construct_object(key_node, deep=True))
        if key in seen:
            problems.append(f"{where}: {key} is given twice, again on line {key_node.start_mark.line + 1}")
            continue
        seen.add(key)
        yield key, node
