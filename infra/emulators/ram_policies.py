"""Decides, by the rules RAM publishes, whether policies allow a call: an explicit deny wins, else an allow, else no."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

Json = dict[str, Any]


class CloudCall(NamedTuple):
    """One call as RAM sees it."""

    action: str
    resource: str
    prefix: str | None = None
    """What a listing of objects asks for."""


def allows(documents: Iterable[Json], call: CloudCall) -> bool:
    """Whether the documents together allow the call."""
    statements = [statement for document in documents for statement in document["Statement"]]
    effects = {statement["Effect"] for statement in statements if _applies(statement, call)}
    return effects == {"Allow"}


def _applies(statement: Json, call: CloudCall) -> bool:
    unknown = statement.keys() - {"Effect", "Action", "Resource", "Condition"}
    assert not unknown, f"this evaluator does not know {unknown}"
    return (
        any(matches(pattern, call.action, fold=True) for pattern in statement["Action"])
        and any(matches(pattern, call.resource) for pattern in statement["Resource"])
        and all(_holds(operator, keys, call) for operator, keys in statement.get("Condition", {}).items())
    )


def _holds(operator: str, keys: Mapping[str, list[str]], call: CloudCall) -> bool:
    assert operator == "StringLike", f"this evaluator does not know {operator}"
    context = {"oss:Prefix": call.prefix}
    values = [(context[key], patterns) for key, patterns in keys.items()]
    return all(value is not None and any(matches(pattern, value) for pattern in patterns) for value, patterns in values)


@cache
def matches(pattern: str, text: str, *, fold: bool = False) -> bool:
    """``*`` stands for any text, ``?`` for one character."""
    expression = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(expression, text, re.DOTALL | (re.IGNORECASE if fold else 0)) is not None


def role_documents(template: Json, values: Mapping[str, Any]) -> dict[str, list[Json]]:
    """The policy documents of each role of the template, by the role's logical name."""
    resources = template["Resources"]
    roles = {name for name, resource in resources.items() if resource["Type"] == "ALIYUN::RAM::Role"}
    found: dict[str, list[Json]] = {name: [] for name in sorted(roles)}
    for resource in resources.values():
        if resource["Type"] == "ALIYUN::RAM::ManagedPolicy":
            document = filled_in(resource["Properties"]["PolicyDocument"], values)
            for role in resource["Properties"]["Roles"]:
                name, attribute = role["Fn::GetAtt"]
                assert attribute == "RoleName"
                found[name].append(document)
    return found


def filled_in(value: Any, values: Mapping[str, Any]) -> Any:
    """Replace what the template leaves to ROS by ``values``."""
    match value:
        case {"Fn::Sub": str(text), **rest} if not rest:
            return re.sub(r"\$\{([^}]+)\}", lambda found: values[found[1]], text)
        case {"Ref": str(name), **rest} if not rest:
            return values[name]
        case dict():
            return {key: filled_in(item, values) for key, item in value.items()}
        case list():
            return [filled_in(item, values) for item in value]
        case _:
            return value
