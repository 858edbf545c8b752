"""Whatever a server answers, the client has a status that is what it says, or says that this is no Sluice service."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.cli.task.remote import list_remotely, page_of_status
from sluice.client import UNEXPECTED_ANSWER, Client, Export, SluiceApiError, Status
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.scripted_server import Answer, scripted_server

ERROR = {"code": "CHUNK_MISSING", "message": "A stored batch is gone.", "who": "operator", "retryable": False}
TASK: dict[str, Any] = {
    "task_id": "t",
    "state": "completed",
    "format": "csv",
    "filename": "out.csv",
    "rows_expected": 3,
    "rows_received": 3,
    "rows_written": 3,
    "batches": 1,
    "sheets": [{"name": "a", "rows": 3}, {"name": "b", "rows": None}],
    "progress_percent": 99.5,
    "eta_seconds": 1,
    "file_size_bytes": 10,
    "checksum_sha256": "0" * 64,
    "error": ERROR,
    "request_id": "r",
    "refusal": {**ERROR, "stored": [[1, 2]], "open_until": "2099-01-01T00:00:00Z"},
    "attempts": 2,
    "attempt_error": ERROR,
    "created_at": "2099-01-01T00:00:00Z",
    "sealed_at": "2099-01-01T00:00:00Z",
    "finished_at": None,
    "expires_at": None,
    "warnings": [{"kind": "text_cut", "count": 1}],
}
OTHERS: list[object] = [
    None, True, 1, -1.5, 10**30, float("nan"), float("inf"), "", "x", "\ud800", [], [1], [[]], [{}], {}, {"code": 1}
]  # fmt: skip
NAMES = st.sampled_from([*ERROR])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | NAMES, inner, max_size=3),
    max_leaves=6,
)
RECEIPT = {"sequence": 1, "rows": 1, "sha256": "", "replayed": False}


def test_the_example_has_every_member_of_a_status() -> None:
    assert TASK.keys() == get_type_hints(Status).keys()
    status = Status.of(TASK)
    assert (status.sheets, status.warnings) == ({"a": 3, "b": None}, {"text_cut": 1})
    assert all(getattr(status, name) == value for name, value in TASK.items() if name not in {"sheets", "warnings"})


def read(task: Any) -> Status | None:
    try:
        return Status.of(task)
    except SluiceApiError as error:
        return None if (error.code, error.retryable) == (UNEXPECTED_ANSWER, False) else pytest.fail(str(error))


def check(task: Any) -> None:
    """It is shown whole, or refused as what no service answers."""
    status = read(task)
    if status is None:
        return
    page_of_status(status)
    list_remotely(Listing(status), state=None, limit=1, as_json=False)  # type: ignore[arg-type]  # what it uses of one
    if status.state == "failed":
        assert status.failure is not None


class Listing:
    def __init__(self, status: Status) -> None:
        self._status = status

    def list(self, **_: object) -> list[Status]:
        return [self._status]


@pytest.mark.parametrize("name", TASK)
@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_a_member_of_another_kind_is_no_answer_of_a_service(name: str, other: object) -> None:
    for state in ("failed", "open"):
        check({**TASK, "state": state, name: other})
    left_out = {member: value for member, value in TASK.items() if member != name}
    check(left_out)


@given(st.dictionaries(st.sampled_from([*TASK]), JSON))
def test_no_answer_is_a_bug_of_the_client(members: dict[str, Any]) -> None:
    check({**TASK, **members})


CALLS: dict[str, tuple[Callable[[Client, Export], object], Any]] = {
    "list": (lambda client, _: list(client.list()), {"tasks": [TASK], "cursor": None}),
    "open": (lambda client, _: client.open(format="csv", columns=["a"]), TASK),
    "put": (lambda _, export: export.put(1, [["a"]]), RECEIPT),
    "close": (lambda _, export: export.close(), TASK),
    "status": (lambda _, export: export.status(), TASK),
    "wait": (lambda _, export: export.wait(), TASK),
    "link": (lambda _, export: export.link(), {"url": "/bytes", "expires_at": "2099-01-01T00:00:00Z"}),
    "render": (lambda _, export: export.render(), TASK),
    "cancel": (lambda _, export: export.cancel(), TASK),
}


@pytest.mark.parametrize("name", CALLS)
def test_each_call_says_of_a_malformed_answer_that_it_is_one(name: str) -> None:
    call, whole = CALLS[name]
    answers: list[Any] = [whole]
    with (
        scripted_server(lambda _: Answer(200, json.dumps(answers[-1]).encode())) as server,
        Client(server.url, clock=FakeClock(), randomness=SeededRandomness()) as client,
    ):
        call(client, client.export("t"))
        read = ("task_id",) if name in {"open", "render"} else tuple(whole)
        others: list[list[Any]] = [[1], [[]], [{**TASK, "rows_received": "x"}]]
        nested = [{"tasks": other, "cursor": None} for other in others]
        malformed = [{**whole, member: {"x": []}} for member in read if member not in {"refusal", "error"}]
        for answer in [*malformed, *(nested if name == "list" else ()), [], "x", None, {}]:
            answers.append(answer)
            with pytest.raises(SluiceApiError) as refused:
                call(client, client.export("t"))
            assert refused.value.code == UNEXPECTED_ANSWER, answer
