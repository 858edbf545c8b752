"""What a member of a body, or a parameter, may be: read from its declaration, for the sentences of refusals."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec
from msgspec import inspect

_STEPS = re.compile(r"\w+|\[[^\]]*\]")


def values_of(kinds: Iterable[inspect.Type]) -> str:
    """The values of those of the types that have few, such as ``'a', 'b' or 'c'``; empty where none has."""
    values: list[object] = []
    for kind in kinds:
        match kind:
            case inspect.EnumType(cls):
                values += [member.value for member in cls]
            case inspect.LiteralType(literals):
                values += literals
    return " or ".join(filter(None, (", ".join(map(repr, values[:-1])), *map(repr, values[-1:]))))


def kinds_at(model: type[msgspec.Struct], path: str) -> list[inspect.Type]:
    """The types that the member of a model may have at a path of msgspec's, such as ``.options.style``."""
    kinds = plain_types(inspect.type_info(model))
    for step in _STEPS.findall(path):
        kinds = [plain for kind in kinds for plain in _member(kind, step)]
    return kinds


def _member(kind: inspect.Type, step: str) -> list[inspect.Type]:
    match kind:
        case inspect.StructType() if not step.startswith("["):
            return [plain for field in kind.fields if field.encode_name == step for plain in plain_types(field.type)]
        case inspect.CollectionType() if step.startswith("["):
            return plain_types(kind.item_type)
        case inspect.DictType():
            return plain_types(kind.value_type)
        case _:
            return []


def plain_types(kind: inspect.Type) -> list[inspect.Type]:
    """The types that a value may have, without what is only said about them."""
    match kind:
        case inspect.Metadata(inner):
            return plain_types(inner)
        case inspect.UnionType(types):
            return [plain for one in types for plain in plain_types(one)]
        case _:
            return [kind]
