"""The options that say for which user a table is read."""

from __future__ import annotations

from typing import Annotated

import typer

from sluice.api.users import make_user
from sluice.domain.user import User

OPERATOR = "operator"
UserName = Annotated[str, typer.Option("--user", metavar="NAME", help="For whom the table is read.")]
Permissions = Annotated[
    list[str] | None, typer.Option("--permission", metavar="NAME", help="What the user may; may be repeated.")
]
Attributes = Annotated[
    list[str] | None,
    typer.Option("--attribute", metavar="NAME=VALUE", help="What a definition calls :user.NAME; may be repeated."),
]


def read_user(name: str, permissions: list[str] | None, attributes: list[str] | None) -> User:
    """The user by what the command line says; ``tenant`` is an attribute. Raises ``typer.BadParameter``."""
    known = read_attributes(attributes)
    try:
        return make_user(name, known.get("tenant", ""), list(permissions or ()), known)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--user") from None


def read_attributes(attributes: list[str] | None) -> dict[str, str]:
    """What is known of the user, by name. Raises ``typer.BadParameter``."""
    known: dict[str, str] = {}
    for text in attributes or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{text!r} is no NAME=VALUE", param_hint="--attribute")
        known[key] = value
    return known
