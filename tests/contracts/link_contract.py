"""What every minter of links must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import pytest

from sluice.ports.object_store import MintsLinks
from tests.support.fake_clock import FakeClock

KEY = "out/v1/ab/acme/aaaaaaaaaaaaaaaaaaaaaaaaaa/0001-0123456789abcdef/export.xlsx"


class Served(NamedTuple):
    """What the holder of a link gets."""

    key: str
    filename: str


class LinkContract(ABC):
    """Adopt it by a subclass whose name begins with ``Test``."""

    @abstractmethod
    def make_links(self, clock: FakeClock) -> MintsLinks:
        """Make the minter; it and ``follow`` go by ``clock``."""

    def place(self, key: str, filename: str) -> None:
        """Put an object that is delivered as ``filename``, where that is said when it is put, not when it is linked."""
        del key, filename

    @abstractmethod
    def follow(self, url: str) -> Served | None:
        """Do what the holder of a link does; None when nothing is served."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    def test_a_link_serves_its_object_under_its_name(self, clock: FakeClock) -> None:
        self.place(KEY, "orders.xlsx")
        url = self.make_links(clock).mint_link(KEY, filename="orders.xlsx", expires_at=clock.now() + 60)
        assert self.follow(url) == Served(KEY, "orders.xlsx")

    @pytest.mark.parametrize(
        "filename", ["报表 (1).xlsx", "a&b=c;d#e?f%2F+.csv", "\U0001f600.csv", 'it\'s "quoted".csv']
    )
    def test_any_file_name_arrives(self, clock: FakeClock, filename: str) -> None:
        self.place(KEY, filename)
        url = self.make_links(clock).mint_link(KEY, filename=filename, expires_at=clock.now() + 60)
        assert url.isascii()
        assert self.follow(url) == Served(KEY, filename)

    def test_a_link_works_until_it_expires(self, clock: FakeClock) -> None:
        self.place(KEY, "a.csv")
        url = self.make_links(clock).mint_link(KEY, filename="a.csv", expires_at=clock.now() + 60)
        clock.advance(59)
        assert self.follow(url) is not None
        clock.advance(1)
        assert self.follow(url) is None

    def test_links_to_two_objects_serve_each_its_own(self, clock: FakeClock) -> None:
        links = self.make_links(clock)
        keys = ["a/1", "a/2"]
        for key in keys:
            self.place(key, "same.csv")
        urls = [links.mint_link(key, filename="same.csv", expires_at=clock.now() + 60) for key in keys]
        assert [self.follow(url) for url in urls] == [Served(key, "same.csv") for key in keys]

    def test_a_key_that_is_none_is_refused(self, clock: FakeClock) -> None:
        with pytest.raises(ValueError):
            self.make_links(clock).mint_link("../a", filename="a.csv", expires_at=clock.now() + 60)
