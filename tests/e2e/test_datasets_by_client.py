"""The Python client and `sluice pull --server` ask a service for a table as its user may have it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sluice.client import UNEXPECTED_ANSWER, Client, SluiceApiError
from sluice.client.aio import AsyncClient
from tests.support.command_line import sluice
from tests.support.orders_dataset import READ, serving_orders, token, visible
from tests.support.running_service import ServiceProcess
from tests.support.scripted_server import Answer, Asked, scripted_server


class Running(NamedTuple):
    service: ServiceProcess
    key: str
    """Of the application: it names its users."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("definitions")
    key = sluice("keys", "add", "acme", "--scope", "act_for", "--data", folder / "data").stdout.strip()
    with serving_orders(folder) as service:
        yield Running(service, key)


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def test_a_user_s_token_gets_what_the_user_may_have(running: Running, tmp_path: Path) -> None:
    with Client(running.service.url, token("acme", *READ)) as client:
        datasets = client.datasets()
        (orders,) = datasets.list()
        assert orders == datasets.show("orders")
        assert [(one.name, one.label, one.type, one.masked) for one in orders.columns][:2] == [
            ("id", "Order id", "number", False),
            ("email", "E-mail", "string", True),
        ]
        assert (orders.selectable, orders.date, orders.filters, orders.ids_max) == (True, True, ["state"], 100)
        seen = datasets.preview("orders", rows=2, columns=["id", {"name": "email", "label": "mail"}])
        assert (seen.columns, seen.rows) == (
            ["Order id", "mail"],
            [["3", "u***@example.com"], ["6", "u***@example.com"]],
        )
        states: list[str] = []
        done = datasets.save(
            "orders", tmp_path / "all.csv", format="csv", on_progress=lambda status: states.append(status.state)
        )
    assert done.rows_written == len(visible("acme"))
    assert [int(row[0]) for row in rows_of(tmp_path / "all.csv")[1:]] == [one[0] for one in visible("acme")]
    assert states[-1] == "completed"


def test_a_key_names_its_user_and_what_the_user_may(running: Running, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "format": "jsonl",
        "ids": [3, "6", 9, 10],
        "columns": ["email", "cost"],
        "filters": {"state": ["paid", "open"]},
        "date_from": "2026-03-01",
        "date_to": "2026-03-31",
        "options": {"timezone": "Asia/Shanghai"},
        "idempotency_key": "王伟's",
    }
    with Client(running.service.url, running.key) as client:
        datasets = client.datasets(
            "王伟", permissions=[*READ, "orders:pii", "orders:cost"], attributes={"region": "北"}
        )
        datasets.save("orders", tmp_path / "few.jsonl", **asked)
        export = datasets.export("orders", **asked)
        assert (export.opened_as.state, export.opened_as.rows_written) == ("completed", 3), "the same call again"
        assert export.id in [one.id for one in datasets.exports("orders")]
        assert export.link().url
        with pytest.raises(SluiceApiError, match="DATASET_NOT_FOUND"):
            client.datasets("bob").show("orders")
        with pytest.raises(SluiceApiError, match="UNAUTHENTICATED"):
            client.datasets().list()
    lines = [json.loads(line) for line in (tmp_path / "few.jsonl").read_text().splitlines()]
    assert lines == [{"E-mail": f"user{number}@example.com", "cost": number * 2} for number in (3, 6, 9)]
    audited = sluice("audit", "--data", running.service.data, "--user", "王伟", "--json").stdout
    assert {json.loads(line)["user"] for line in audited.splitlines()} == {"王伟"}


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ((None, ("orders:read",), None), "of a user who is named"),
        (("", (), None), "a user's name"),
        ((" ann", (), None), "a user's name"),
        (("ann\r\nSluice-User: eve", (), None), "a user's name"),
        (("ann", ("orders:read orders:pii",), None), "a permission"),
        (("ann", ("a,b",), None), "a permission"),
        (("ann", ("a\n",), None), "a permission"),
    ],
)
def test_what_no_header_can_say_is_refused(user: tuple[str | None, tuple[str, ...], None], said: str) -> None:
    name, permissions, attributes = user
    with Client("http://127.0.0.1:9") as client, pytest.raises(ValueError, match=said):
        client.datasets(name, permissions=permissions, attributes=attributes)


@pytest.mark.parametrize("address", [None, "", "/v1/watch/x", "file:///etc/passwd", "http://[", 3])
def test_an_answer_without_an_address_to_watch_is_none_of_a_service(address: object) -> None:
    with scripted_server(opened_at(address)) as server, Client(server.url) as client:
        with pytest.raises(SluiceApiError) as refused:
            client.datasets().export("orders", format="csv")
        assert refused.value.code == UNEXPECTED_ANSWER


def test_the_credential_is_not_sent_to_a_watch_address() -> None:
    """It is another's where a proxy or a setting says so."""
    ended = Answer(200, b'{"task_id": "a", "state": "completed"}')
    with (
        scripted_server(lambda _: ended) as elsewhere,
        scripted_server(opened_at(f"{elsewhere.url}/v1/watch/x")) as server,
        Client(server.url, "slc_secret") as client,
    ):
        client.datasets("ann").export("orders", format="csv").wait()
    assert {"authorization", "sluice-user"} <= set(server.asked[0].headers)
    assert not {"authorization", "sluice-user"} & set(elsewhere.asked[0].headers)


def opened_at(address: object) -> Callable[[Asked], Answer]:
    answered = {"task_id": "a", "state": "waiting", "watch_url": address}
    return lambda _: Answer(202, json.dumps(answered).encode())


def test_the_same_awaited(running: Running, tmp_path: Path) -> None:
    async def save() -> list[str]:
        async with AsyncClient(running.service.url, running.key) as client:
            datasets = client.datasets("async", permissions=READ)
            assert [one.name for one in await datasets.list()] == ["orders"]
            assert (await datasets.show("orders")).columns
            assert len((await datasets.preview("orders", rows=3)).rows) == 3
            export = await datasets.export("orders", format="csv", ids=[3])
            await export.wait()
            await export.save_to(tmp_path / "one.csv")
            assert (await export.status()).state == "completed"
            return [one.id for one in await datasets.exports("orders")] + [export.id]

    found = asyncio.run(save())
    assert found[0] == found[1]
    assert [row[0] for row in rows_of(tmp_path / "one.csv")] == ["Order id", "3"]


def pull(running: Running, *arguments: str | Path, credential: str, exit_code: int = 0, **env: str) -> str:
    said = {"SLUICE_TOKEN": credential, "SLUICE_SERVER": running.service.url, **env}
    done = sluice("pull", *arguments, env={name: value for name, value in said.items() if value}, exit_code=exit_code)
    return done.stderr if exit_code else done.stdout


def test_the_command_line_has_the_service_read_a_table(running: Running, tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    made = json.loads(pull(running, "orders", "-o", out, "--json", credential=token("acme", *READ)))
    assert (made["rows"], made["file"]) == (len(visible("acme")), str(out))
    assert made["types"] == "Order id number, amount number, created_at datetime"
    assert [int(row[0]) for row in rows_of(out)[1:]] == [one[0] for one in visible("acme")]
    assert {row[1] for row in rows_of(out)[1:]} == {"u***@example.com"}
    user = ["--user", "ann", "--permission", "orders:read", "--permission", "orders:pii", "--attribute", "region=n"]
    pull(running, "orders", "-o", out, "--columns", "email,id", *user, credential=running.key)
    assert rows_of(out)[:2] == [["E-mail", "Order id"], ["user3@example.com", "3"]]


def test_the_service_s_refusal_is_the_command_s_and_no_file_is_left(running: Running, tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    for arguments, credential, said in (
        ((), token("acme"), "DATASET_NOT_FOUND"),
        (("--columns", "cost"), token("acme", *READ), "PERMISSION_DENIED"),
        ((), running.key, "Sluice-User"),
        (("--permission", "orders:read"), running.key, "of a user who is named"),
        ((), "slc_nonsense", "UNAUTHENTICATED"),
    ):
        shown = pull(running, "orders", "-o", out, *arguments, credential=credential, exit_code=_code(said))
        assert said in " ".join(shown.replace("│", " ").split())
        assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def _code(said: str) -> int:
    """A mistake on the command line ends with 2, what the service refuses with 1."""
    return 2 if said == "of a user who is named" else 1


def test_who_reads_is_said_once(running: Running, tmp_path: Path) -> None:
    folder, out = running.service.data.parent, tmp_path / "x.csv"
    user = ["--attribute", "tenant=acme"]
    pull(running, "orders", "-o", out, "--definitions", folder, *user, credential="")
    assert len(rows_of(out)) == len(visible("acme")) + 1, "the command line goes before the variable"
    url = running.service.url
    definitions = str(folder)
    pull(
        running, "orders", "-o", out, "--server", url, credential=token("tiny", *READ),
        SLUICE_DEFINITIONS=definitions, SLUICE_SERVER="",
    )  # fmt: skip
    assert len(rows_of(out)) == len(visible("tiny")) + 1
    for arguments, env in (
        (["--server", url, "--definitions", definitions], {}),
        ([], {"SLUICE_DEFINITIONS": definitions}),
        ([], {"SLUICE_SERVER": ""}),
    ):
        shown = pull(running, "orders", "-o", out, *arguments, credential="", exit_code=2, **env)
        assert "--server" in shown
