"""Generate docs/errors.md from the tables of meanings and answers; `--check` only says whether it is up to date."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from sluice.api.error_status import ANSWERS, RETRY_AFTER_S
from sluice.domain.errors import MEANINGS, ErrorCode

PAGE = Path(__file__).resolve().parent.parent / "docs/errors.md"

HEAD = f"""# Error codes

Made by `infra/gen_error_docs.py` from the tables that the service answers with; do not edit.

A code is stable: it is never renamed and never used for something else. Over HTTP an error is a problem document
(`application/problem+json`) with `code`, `detail`, `who`, `retryable`, `request_id` and the facts beside them.
Over gRPC the code and the facts stand in the trailing metadata `error-code` and `error-facts` (JSON), and in
`google.rpc.ErrorInfo`. A case that both can meet has the same facts on both. Who must act: the `client` that sent
the request, the `platform` (it recovers by itself), or the `operator` of the service. A retry of a retryable error
makes sense after `Retry-After` or `google.rpc.RetryInfo` ({RETRY_AFTER_S} seconds unless the error knows better).
`sluice explain CODE` says the same on the command line. Every refusal leaves a line in the log, at the level of the
last column, and is counted: in `export_errors_total`, or in a counter of its own (callers turned away, rate limits).

| code | means | who must act | retry | HTTP | gRPC | log |
|---|---|---|---|---|---|---|
"""


def page() -> str:
    return HEAD + "".join(f"{line}\n" for line in rows())


def rows() -> Iterator[str]:
    for code in ErrorCode:
        meaning, (status, http) = MEANINGS[code], ANSWERS[code]
        retry = "yes" if meaning.retryable else "no"
        cells = (f"`{code}`", meaning.sentence, meaning.who, retry, http, status.name, meaning.level.name)
        yield f"| {' | '.join(str(cell) for cell in cells)} |"


def check() -> None:
    """Exit with 1 when the committed page is not what the tables give."""
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/errors.md is stale, run python infra/gen_error_docs.py")


if __name__ == "__main__":
    if "--check" in sys.argv:
        check()
    else:
        PAGE.write_text(page(), encoding="utf-8")
