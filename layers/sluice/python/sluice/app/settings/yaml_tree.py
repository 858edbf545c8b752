"""Reads YAML files strictly: no key twice, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

PARTS_MAX = 100_000
"""Values of one file."""
_NAMES = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}
READ_MAX = 1 << 20
"""Bytes of one file: a definition is some lines."""


def read_text(path: Path, place: str, problems: list[str]) -> str | None:
    """The file's text; whatever is wrong with it goes to ``problems``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        problems.append(f"{place}: cannot be read: {reason}")
        return None
    return text


def yaml_problem(error: Exception, place: str) -> str:
    """What the parser found, with the line."""
    mark = getattr(error, "problem_mark", None)
    where = f"{place}:{mark.line + 1}" if mark else place
    return f"{where}: is not YAML: {getattr(error, 'problem', None) or 'unreadable'}"


def construct(loader: yaml.SafeLoader, node: yaml.Node, *, deep: bool = True) -> object:
    """Give a node's value; what the parser cannot convert, such as a date that no calendar has, is no YAML either."""
    import yaml  # noqa: PLC0415  # loaded by the caller already

    try:
        value: object = loader.construct_object(node, deep=deep)
    except (ValueError, TypeError, LookupError, AttributeError):
        problem = "a value is none of its kind; text that looks like a date or a number stands in quotes"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None
    return value


def read_yaml(path: Path, place: str, problems: list[str], lines: dict[str, int] | None = None) -> Any:
    """The file's value, None where there is none or something is wrong, which goes to ``problems``.

    ``lines`` is given the line of each place, as ``outputs[1].mode``, from 1 on.
    """
    text = read_text(path, place, problems)
    if text is None:
        return None
    if len(text) > READ_MAX:
        problems.append(f"{place}: has more than {READ_MAX:,} characters")
        return None
    import yaml  # noqa: PLC0415  # only who has a file pays for the parser

    loader = None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            problems.append(f"{place}: is empty")
            return None
        _refuse_twice(root, set())
        if _parts_of(root, {}) > PARTS_MAX:
            problems.append(
                f"{place}: has more than {PARTS_MAX:,} parts, counting what is named and used again each time"
            )
            return None
        value = construct(loader, root)
    except (yaml.YAMLError, RecursionError) as error:
        problems.append(yaml_problem(error, place))
        return None
    else:
        if lines is not None:
            _note_lines(root, "", lines)
        return value
    finally:
        if loader is not None:
            loader.dispose()


def _parts_of(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values there are, each part that is used again counted again."""
    import yaml  # noqa: PLC0415  # loaded by the caller already

    if id(node) in known:
        return known[id(node)]
    known[id(node)] = 0  # of a part that has itself in it, which is refused as it is read
    inside = node.value if isinstance(node, yaml.SequenceNode) else ()
    if isinstance(node, yaml.MappingNode):
        inside = [one for pair in node.value for one in pair]
    parts = 1 + sum(_parts_of(one, known) for one in inside)
    known[id(node)] = parts
    return parts


def _refuse_twice(node: yaml.Node, seen: set[int]) -> None:
    """Raise ``MarkedYAMLError`` for a key that stands twice in one mapping, which would be a silent last word."""
    import yaml  # noqa: PLC0415  # loaded by the caller already

    if id(node) in seen:  # a part that is named and used again
        return
    seen.add(id(node))
    keys: set[str] = set()
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    for key in (key for key, _ in pairs if isinstance(key, yaml.ScalarNode)):  # the parser itself refuses others
        if key.tag not in _NAMES:
            problem = f"the name {key.value} is no text to YAML: put it in quotes"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        if key.value in keys:
            raise yaml.MarkedYAMLError(problem=f"{key.value} is given twice", problem_mark=key.start_mark)
        keys.add(key.value)
    items = node.value if isinstance(node, yaml.SequenceNode) else [value for _, value in pairs]
    for item in items:
        _refuse_twice(item, seen)


def yaml_of(values: object) -> str:
    """Write values as a file that ``read_yaml`` reads back."""
    import yaml  # noqa: PLC0415  # only who writes a file pays for it

    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100))


def _note_lines(node: yaml.Node, place: str, lines: dict[str, int]) -> None:
    import yaml  # noqa: PLC0415  # loaded by the caller already

    inside = []
    if isinstance(node, yaml.MappingNode):
        inside = [(f"{place}.{key.value}" if place else str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        inside = [(f"{place}[{index}]", value, value) for index, value in enumerate(node.value)]
    for name, marked, value in inside:
        if name not in lines:
            lines[name] = marked.start_mark.line + 1
            _note_lines(value, name, lines)
