"""What links begin with where no address is set."""

from __future__ import annotations

import socket

import pytest

from sluice.app.one_machine import PublicUrl
from sluice.app.settings.schema import Server, Settings


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9091"),
        ("::1", "http://[::1]:9091"),
        ("0.0.0.0", f"http://{socket.gethostname()}:9091"),  # a setting, nothing is bound
        ("::", f"http://{socket.gethostname()}:9091"),
    ],
)
def test_a_link_never_leads_to_the_address_that_means_all_of_them(host: str, url: str) -> None:
    assert PublicUrl(Settings(server=Server(host=host)))() == url


def test_a_public_url_wins() -> None:
    settings = Settings(server=Server(host="0.0.0.0", public_url="https://exports.example.com"))
    assert PublicUrl(settings)() == "https://exports.example.com"
