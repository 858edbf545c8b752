"""Readers of files and of pages are killed at every slice: another goes on, and each row is in the file once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.domain.pulled import Cursor
from sluice.ports.source import Slice, Slices, Source
from sluice.usecases.pulling import read_pages
from sluice.usecases.work_off import read_and_compose
from tests.support.listed_source import Killed
from tests.support.scripted_server import Answer, Asked, scripted_server
from tests.unit.usecases.test_read_files import plain, source
from tests.unit.usecases.test_read_pages import given, reader
from tests.unit.usecases.test_read_source import World

ROWS = [(str(number), f"user{number}@example.com") for number in range(1, 15)]


class Mortal:
    """Implements what is asked of a ``Source`` here; whoever reads it dies before slice ``dies_at``, once."""

    def __init__(self, source: Source, deaths: list[int]) -> None:
        self._source, self._deaths = source, deaths

    def interrupt(self) -> None:
        self._source.interrupt()

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        with self._source.reading(after, until) as slices:
            yield Slices(slices.read_at, self._slices(slices))

    def _slices(self, slices: Slices) -> Iterator[Slice]:
        for part in slices:
            if self._deaths:
                self._deaths[0] -= 1
                if self._deaths[0] < 0:
                    self._deaths.pop(0)
                    raise Killed
            yield part


def file_of(made: Callable[[], Source], deaths: list[int]) -> list[str]:
    """What is in the file once readers that die have read; each death is counted from the one before."""
    world = World()
    ref = world.open("key")
    world.ports = replace(world.ports, open_source=lambda _: Mortal(made(), deaths))  # type: ignore[arg-type,return-value]
    for _ in range(len(deaths) + 1):
        with suppress(Killed):
            read_and_compose(world.ports, ref)
        world.let_lease_lapse()
    return world.file(ref)[1:]


DEATHS = [[at] for at in range(6)] + [[first, then] for first in range(5) for then in range(3)]


@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_files_are_read_on(ending: str, tmp_path: Path) -> None:
    for name, rows in (("1", ROWS[:5]), ("2", ROWS[5:])):
        text = "id,email\n" + "".join(f"{number},{email}\n" for number, email in rows)
        if ending == "ndjson":
            text = "".join(json.dumps({"id": number, "email": email}) + "\n" for number, email in rows)
        plain(tmp_path / f"{name}.{ending}", text.encode())
    expected = file_of(lambda: source(tmp_path, f"*.{ending}", type=ending), [])
    assert len(expected) == len(ROWS)
    left = [list(deaths) for deaths in DEATHS]
    for deaths in left:
        assert file_of(lambda: source(tmp_path, f"*.{ending}", type=ending), deaths) == expected, deaths
    assert left.count([]) >= len(DEATHS) // 2, "so many readers died as often as they should"


def test_pages_are_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_pages, "SLICE_ROWS", 2)

    def script(asked: Asked) -> Answer:
        start = 5 * (int(given(asked)["page"]) - 1)
        return Answer(200, json.dumps([{"id": a, "email": b} for a, b in ROWS[start : start + 5]]).encode())

    with scripted_server(script) as server:

        def made() -> Source:
            return reader(server, columns=["id", "email"], paging={"by": "page"})

        expected = file_of(made, [])
        assert len(expected) == len(ROWS)
        left = [list(deaths) for deaths in DEATHS[:6]]
        for deaths in left:
            assert file_of(made, deaths) == expected, deaths
        assert left == [[]] * 6, "each reader died"
