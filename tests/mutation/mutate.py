"""The changes: each is one small slip that a reviewer could overlook."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
}


class Mutation(NamedTuple):
    """One change of a module, which ``make`` makes in a tree of its own."""

    line: int
    last_line: int
    """Of the changed expression; of a condition, not of what depends on it."""
    what: str
    make: Callable[[], ast.Module]


def mutations(tree: ast.Module) -> Iterator[Mutation]:
    """Every change that can be made to ``tree``, in its order; annotations and docstrings are left alone."""
    for place, node in enumerate(_nodes(tree)):
        for number, (what, _) in enumerate(_changes(node)):

            def make(place: int = place, number: int = number) -> ast.Module:
                changed = copy.deepcopy(tree)
                target = list(_nodes(changed))[place]
                _changes(target)[number][1]()
                return ast.fix_missing_locations(changed)

            changed_part = node.test if isinstance(node, ast.If | ast.While) else node
            last_line = getattr(changed_part, "end_lineno", None) or 0
            yield Mutation(getattr(node, "lineno", 0), last_line, what, make)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes of running code, in a fixed order."""
    for name, value in ast.iter_fields(tree):
        if name in {"annotation", "returns", "decorator_list", "type_comment"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child
                yield from _nodes(child)


def _changes(node: ast.AST) -> list[tuple[str, Callable[[], None]]]:
    change: tuple[str, Callable[[], None]] | None = None
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in _COMPARISONS:
            new = _COMPARISONS[type(operator)]
            change = (f"{type(operator).__name__} for {new.__name__}", lambda: setattr(node, "ops", [new()]))
        case ast.BoolOp(op=ast.And()):
            change = ("And for Or", lambda: setattr(node, "op", ast.Or()))
        case ast.BoolOp(op=ast.Or()):
            change = ("Or for And", lambda: setattr(node, "op", ast.And()))
        case ast.BinOp(op=operator) if type(operator) in _OPERATORS and not _is_text(node):
            other = _OPERATORS[type(operator)]
            change = (f"{type(operator).__name__} for {other.__name__}", lambda: setattr(node, "op", other()))
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            change = ("condition negated", lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), test)))
        case ast.Constant(value=int(number)) if not isinstance(number, bool):
            change = (f"{number} for {number + 1}", lambda: setattr(node, "value", number + 1))
        case ast.Constant(value=bool(truth)):
            change = (f"{truth} for {not truth}", lambda: setattr(node, "value", not truth))
        case ast.Return(value=ast.AST() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            change = ("nothing returned", lambda: setattr(node, "value", ast.Constant(None)))
        case ast.Expr(value=ast.Call()):
            change = ("call left out", lambda: setattr(node, "value", ast.Constant(None)))
    return [change] if change else []


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(one, (ast.JoinedStr, ast.Constant)) and not _is_number(one) for one in (node.left, node.right)
    )


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)
