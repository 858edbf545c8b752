"""`sluice explain`: what an error code means, who must act, and how each API answers it."""

from __future__ import annotations

from difflib import get_close_matches
from textwrap import wrap
from typing import Annotated

import msgspec
import typer

from sluice.api.error_status import grpc_status, http_status
from sluice.cli.formatting import json_of, lines_of, say
from sluice.domain.errors import MORE, Actor, ErrorCode, SluiceError

WHAT_TO_DO = {
    (Actor.CLIENT, False): "Change the request; the same request fails again.",
    (Actor.CLIENT, True): "Send the same request again after a pause.",
    (Actor.PLATFORM, True): "Send the same request again; if it goes on, look at the stores.",
    (Actor.OPERATOR, False): "Look at the task: sluice task show TASK. Once the cause is gone: sluice task retry TASK.",
    (Actor.OPERATOR, True): "Send the same request again; if it goes on, look for this request in the logs.",
}


_WIDTH = 100
"""Characters of a line of text."""


class Explained(msgspec.Struct, frozen=True):
    """One code, with everything there is to know about it."""

    code: str
    meaning: str
    more: str
    """Which forms are accepted and what lets a refused thing through; empty where there is no more to say."""
    who: str
    retryable: bool
    what_to_do: str
    grpc_status: str
    http_status: int


def explain(
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="The code, in any case; without it all codes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Say what an error code means, who must act, and whether a retry makes sense.

    Examples:
      sluice explain BATCH_CONFLICT
      sluice explain
      sluice explain --json
    """
    if code is None:
        every = [explained(known) for known in ErrorCode]
        head = ("CODE", "WHO", "RETRY", "GRPC", "HTTP", "MEANING")
        rows = [
            (one.code, one.who, "yes" if one.retryable else "no", one.grpc_status, str(one.http_status), one.meaning)
            for one in every
        ]
        say(json_of(every) if as_json else "\n".join(lines_of([head, *rows])))
        return
    one = explained(_known(code))
    say(json_of(one) if as_json else "\n".join(_page(one)))


def explained(code: ErrorCode) -> Explained:
    """Gather what the table of meanings and the table of answers say."""
    error = SluiceError(code)
    meaning = error.meaning
    return Explained(
        code=code.value,
        meaning=meaning.sentence,
        more=MORE.get(code, ""),
        who=meaning.who.value,
        retryable=meaning.retryable,
        what_to_do=WHAT_TO_DO[meaning.who, meaning.retryable],
        grpc_status=grpc_status(error).name,
        http_status=http_status(error),
    )


def _known(text: str) -> ErrorCode:
    name = text.strip().upper().replace("-", "_")
    if name in ErrorCode.__members__:
        return ErrorCode[name]
    near = get_close_matches(name, list(ErrorCode.__members__), n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else "sluice explain lists all codes."
    raise typer.BadParameter(f"there is no error code {text!r}. {hint}", param_hint="CODE")


def _page(one: Explained) -> list[str]:
    return [
        f"{one.code}: {one.meaning}",
        *(f"  {line}" for line in wrap(one.more, _WIDTH)),
        *lines_of(
            [
                ("  who must act", one.who),
                ("  retryable", "yes" if one.retryable else "no"),
                ("  what to do", one.what_to_do),
                ("  gRPC status", one.grpc_status),
                ("  HTTP status", str(one.http_status)),
            ]
        ),
    ]
