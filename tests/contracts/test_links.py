"""The minters of links keep the contract."""

from urllib.parse import parse_qs, urlsplit

from sluice.adapters.directory.links import LocalLinks
from sluice.adapters.memory.store import MemoryStore
from sluice.domain.errors import SluiceError
from sluice.ports.object_store import MintsLinks
from tests.contracts.link_contract import LinkContract, Served
from tests.support.fake_clock import FakeClock


class TestLocalLinks(LinkContract):
    def make_links(self, clock: FakeClock) -> MintsLinks:
        self.links = LocalLinks("http://127.0.0.1:9091", b"s" * 32, clock)
        return self.links

    def follow(self, url: str) -> Served | None:
        try:
            grant = self.links.verify(urlsplit(url).path.removeprefix("/v1/files/"))
        except SluiceError:
            return None
        return Served(grant.key, grant.filename)


class TestMemoryLinks(LinkContract):
    def make_links(self, clock: FakeClock) -> MintsLinks:
        self.now_by = clock
        return MemoryStore(clock=clock)

    def follow(self, url: str) -> Served | None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        if self.now_by.now() >= float(query["expires_at"][0]):
            return None
        return Served(parts.path, query["filename"][0])
