"""What failed is shown with the local variables of each frame by Django's mails and Sentry: without key and rows."""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import NoReturn

import pytest

from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.client import Client, SluiceApiError, verify_webhook
from sluice.client.aio import AsyncClient
from sluice.client.calls import Calls
from sluice.client.connections import TIMEOUTS
from sluice.domain.secret import Secret
from tests.support.scripted_server import Answer, in_turn, scripted_server

TOKEN = "slc_top_secret"
CELL = "a name of somebody"
OPENED = Answer(200, b'{"task_id": "x", "state": "open"}')
REFUSED = Answer(422, b'{"code": "INVALID_VALUE", "title": "no", "status": 422}')


class Interrupt(BaseException):
    """What a limit of time of a queue throws into whatever runs."""


class Body:
    def __iter__(self) -> NoReturn:
        raise Interrupt


def shown(call: Callable[[], object]) -> str:
    """What a trace with local variables has of the frames of the client."""
    with pytest.raises((SluiceApiError, ValueError, Interrupt)) as caught:
        call()
    kept = caught.value.__traceback__
    while kept is not None and "/sluice/" not in kept.tb_frame.f_code.co_filename:
        kept = kept.tb_next
    assert kept is not None
    trace = traceback.TracebackException(type(caught.value), caught.value, kept, capture_locals=True)
    return "".join(trace.format())


def send(url: str) -> None:
    with Client(url, TOKEN, retry_for_s=0) as client:
        client.send_table(([CELL] for _ in range(2)), format="csv", columns=["a"])


def ask(url: str) -> None:
    with Client(url, TOKEN, retry_for_s=0) as client:
        client.export("x").wait(0)


def test_a_refused_batch_shows_neither_the_key_nor_its_request() -> None:
    with scripted_server(in_turn(OPENED, REFUSED)) as server:
        text = shown(lambda: send(server.url))
    requests = [line for line in text.splitlines() if "request = " in line]
    assert requests == [f"    request = Request(PUT {server.url}/v1/exports/x/batches/1)"] * len(requests) != []
    assert TOKEN not in text


def test_a_server_that_cannot_be_reached_or_says_nothing_leaves_the_key_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with scripted_server(in_turn(Answer(sent_bytes=0))) as server:
        for url in (nobody, server.url):
            text = shown(partial(ask, url))
            assert "request = Request(" in text
            assert TOKEN not in text


def test_an_interrupt_while_a_request_is_written_leaves_the_key_out() -> None:
    def exchange(url: str) -> None:
        calls = Calls(url, Secret(TOKEN), timeouts=TIMEOUTS, clock=SystemClock(), randomness=SystemRandomness())
        with closing(calls):
            calls.attempt(calls.request("PUT", "/a", Body()))  # type: ignore[arg-type]

    with scripted_server(in_turn(OPENED)) as server:
        assert TOKEN not in shown(partial(exchange, server.url))


def test_a_key_or_a_secret_that_cannot_be_one_is_not_shown() -> None:
    async def make() -> None:
        AsyncClient("http://exports.invalid", f"{TOKEN}\n")

    def check() -> object:
        return verify_webhook(b"", {"webhook-id": "1", "webhook-timestamp": "1"}, f"whsec_{TOKEN}", now=1)

    for call in (lambda: Client("http://exports.invalid", f"{TOKEN}\n"), lambda: asyncio.run(make()), check):
        assert TOKEN not in shown(call)
