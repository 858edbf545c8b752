"""Writes the code of an expression: pieces that are a value or None, from names of ours and numbered ones.

``c0`` is a column's value, ``k0`` a constant or a function, ``t0`` what an inner call gave. Null is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, TypeAlias

from sluice.domain.expression import Call, ColumnValue, Constant, Expression, Kind
from sluice.domain.secret import Secret
from sluice.tables.expressions.reading import (
    WORDS,
    day_of,
    read_boolean,
    read_moment,
    read_number,
    write_day,
    write_moment,
    write_number,
)

_EXACT_CALLS = {"+", "-", "*", "neg"}
"""Calls that give a number wherever no argument is null; their code is in brackets."""
FindKey: TypeAlias = Callable[[str], Secret]
"""Gives the key of hashes of a name; raises ``LookupError`` where there is none."""


class Emitter:
    """Writes the code of one expression."""

    def __init__(self, writers: Mapping[str, Callable[[Emitter, Call], str]], find_key: FindKey, zone: tzinfo) -> None:
        """``writers`` has the calls that there are."""
        self._writers = writers
        self.find_key = find_key
        self.zone = zone
        self.columns: dict[str, str] = {}
        self.given: dict[str, Any] = {"str": str, "len": len}
        self._temporary = 0
        self._wrapping = ""
        """A function around the next value that is not null."""
        self._aliases: dict[str, str] = {}

    def give(self, value: Any) -> str:
        """A name by which the code reaches this value."""
        name = f"k{len(self.given)}"
        self.given[name] = value
        return name

    def alias(self, name: str, kind: Kind) -> ColumnValue:
        """A node that stands for what is known under this temporary name."""
        self._aliases[f"\0{name}"] = name
        return ColumnValue(f"\0{name}", kind)

    def constant(self, node: Constant) -> Any:
        """Its value."""
        return constant_value(node, self.zone)

    def writer_of(self, kind: Kind) -> Callable[[Any], str]:
        """How a value becomes a text."""
        if kind == "boolean":
            return lambda value: "true" if value else "false"
        writers: dict[Kind, Callable[[Any], str]] = {
            "string": str,
            "number": write_number,
            "date": write_day,
            "datetime": write_moment,
        }
        return writers[kind]

    def temporary(self) -> str:
        self._temporary += 1
        return f"t{self._temporary}"

    def value(self, node: Expression) -> str:
        """The value, or None."""
        match node:
            case ColumnValue(name=name):
                return self._aliases.get(name) or self.columns.setdefault(name, f"c{len(self.columns)}")
            case Constant():
                return "None" if node.text is None else self.give(constant_value(node, self.zone))
            case Call(name=name):
                return self._writers[name](self, node)

    def text(self, node: Expression) -> str:
        """The text of the value, or None."""
        if isinstance(node, Call) and node.kind == "number" and node.name in _EXACT_CALLS:
            self._wrapping = "str"
            return self.value(node)
        code = self.value(node)
        if node.kind == "string":
            return code
        if node.kind == "boolean":
            return f"{self.give(WORDS)}[{code}]"
        name = code if isinstance(node, ColumnValue) else self.temporary()
        test = f"{name} is None" if name is code else f"({name} := {code}) is None"
        write = {"number": "str", "date": self.give(write_day), "datetime": self.give(write_moment)}[node.kind]
        return f"(None if {test} else {write}({name}))"

    def plain_text(self, node: Expression) -> str:
        """As ``text``, with numbers in plain digits, for what is put together of texts."""
        if node.kind != "number":
            return self.text(node)
        name = self.temporary()
        return f"(None if ({name} := {self.value(node)}) is None else {self.give(write_number)}({name}))"

    def truth(self, node: Expression) -> str:
        """Something true where the value is true; something false where it is false or null."""
        if isinstance(node, Call):
            match node.name:
                case "and" | "or":
                    return f"({f' {node.name} '.join(map(self.truth, node.arguments))})"
                case "not":
                    return self.falsity(node.arguments[0])
                case "is true":
                    return self.truth(node.arguments[0])
                case "=" | "<>" | "<" | "<=" | ">" | ">=":
                    return self._compared_truth(node)
        return self.value(node)

    def falsity(self, node: Expression) -> str:
        """Something true where the value is false; something false where it is true or null."""
        if isinstance(node, Call):
            match node.name:
                case "and" | "or":
                    other = "or" if node.name == "and" else "and"
                    return f"({f' {other} '.join(map(self.falsity, node.arguments))})"
                case "not":
                    return self.truth(node.arguments[0])
        return f"({self.value(node)} is False)"

    def _compared_truth(self, node: Call) -> str:
        sign = SIGNS[node.name]
        tests, arguments = self.arguments(node.arguments)
        return (
            f"({' and '.join([*(f'{test} is not None' for test in tests), f'{arguments[0]} {sign} {arguments[1]}'])})"
        )

    def arguments(self, nodes: Sequence[Expression]) -> tuple[list[str], list[str]]:
        """The codes to test for None, in order, and names that stand for the values once they were tested."""
        tests, names = [], []
        for node in nodes:
            code = self.value(node)
            if isinstance(node, Constant):
                names.append(code)
                if node.text is None:
                    tests.append("None")
            elif isinstance(node, ColumnValue):
                names.append(code)
                tests.append(code)
            else:
                name = self.temporary()
                names.append(name)
                tests.append(f"({name} := {code})")
        return list(dict.fromkeys(tests)), names

    def strict(self, nodes: Sequence[Expression], make: Callable[[list[str]], str]) -> str:
        """Null where an argument is; what is behind it is not looked at then."""
        wrapping, self._wrapping = self._wrapping, ""  # of this call, and of none in its arguments
        tests, names = self.arguments(nodes)
        made = f"{wrapping}{make(names)}" if wrapping else make(names)
        return f"(None if {' or '.join(f'{test} is None' for test in tests)} else {made})" if tests else made


def constant_value(node: Constant, zone: tzinfo) -> Any:
    """What a constant that is not null is to calculate with."""
    assert node.text is not None
    match node.kind:
        case "number":
            return read_number(node.text)
        case "boolean":
            return read_boolean(node.text)
        case "date":
            return day_of(read_moment(node.text, zone))
        case "datetime":
            return read_moment(node.text, zone)
    return node.text


SIGNS = {"=": "==", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
"""Our name of a comparison, and Python's."""
