"""Links of the local store: only what we signed, exactly as we signed it, and no longer than it says."""

from __future__ import annotations

import base64
import string
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sluice.adapters.directory.links import LinkGrant, LocalLinks, load_or_create_secret
from sluice.adapters.system_clock import SystemRandomness
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.ports.store_errors import StoreRefused
from tests.contracts.at_once import at_once
from tests.support.fake_clock import FakeClock, SeededRandomness

KEY = "out/v1/ab/acme/aaaaaaaaaaaaaaaaaaaaaaaaaa/0001-0123456789abcdef/export.xlsx"
SECRET = bytes(range(32))
URL_ALPHABET = string.ascii_letters + string.digits + "-_=.~%"


def mint(links: LocalLinks, clock: FakeClock, *, filename: str = "报表.xlsx") -> str:
    """The token of a link for a minute."""
    url = links.mint_link(KEY, filename=filename, expires_at=clock.now() + 60)
    return urlsplit(url).path.removeprefix("/v1/files/")


def refusal(links: LocalLinks, token: str) -> ErrorCode:
    with pytest.raises(SluiceError) as failure:
        links.verify(token)
    return failure.value.code


def test_a_link_is_an_address_below_the_base() -> None:
    links = LocalLinks("https://files.example/sluice/", SECRET, FakeClock())
    url = links.mint_link(KEY, filename="a.csv", expires_at=1)
    assert url.startswith("https://files.example/sluice/v1/files/")
    assert "?" not in url
    assert set(url.rpartition("/")[2]) <= set(URL_ALPHABET)


def test_the_base_may_be_known_late() -> None:
    port = 0
    links = LocalLinks(lambda: f"http://127.0.0.1:{port}", SECRET, FakeClock())
    port = 9091
    assert links.mint_link(KEY, filename="a.csv", expires_at=1).startswith("http://127.0.0.1:9091/v1/files/")


def test_a_token_says_what_it_grants() -> None:
    clock = FakeClock()
    links = LocalLinks("", SECRET, clock)
    assert links.verify(mint(links, clock)) == LinkGrant(KEY, "报表.xlsx", clock.now() + 60)


def test_a_token_is_good_until_the_second_it_expires() -> None:
    clock = FakeClock()
    links = LocalLinks("", SECRET, clock)
    token = mint(links, clock)
    clock.advance(59.9)
    links.verify(token)
    clock.advance(0.1)
    assert refusal(links, token) == ErrorCode.EXPIRED


def test_no_character_of_a_token_can_be_changed() -> None:
    clock = FakeClock()
    links = LocalLinks("", SECRET, clock)
    token = mint(links, clock)
    for index, character in enumerate(token):
        for other in set(URL_ALPHABET) - {character}:
            assert refusal(links, token[:index] + other + token[index + 1 :]) == ErrorCode.PERMISSION_DENIED


def test_no_bit_of_a_token_can_be_flipped_once_it_is_expired_either() -> None:
    """An expired token that was tampered with is not ours, so it is not called expired."""
    clock = FakeClock()
    links = LocalLinks("", SECRET, clock)
    token = mint(links, clock)
    clock.advance(3600)
    for index in range(len(token)):
        for bit in range(7):
            flipped = token[:index] + chr(ord(token[index]) ^ (1 << bit)) + token[index + 1 :]
            assert refusal(links, flipped) == ErrorCode.PERMISSION_DENIED


def test_what_is_no_token_is_refused() -> None:
    clock = FakeClock()
    links = LocalLinks("", SECRET, clock)
    token = mint(links, clock)
    payload, _, signature = token.partition(".")
    odd = ["", ".", "..", "a.b", "报表", "\ud800.\ud800", "\0", payload, signature, f".{signature}", f"{payload}."]
    odd += [token[:-1], token[1:], f"{token}=", f"{token}.", f"{token}.x", f" {token}", f"{token}\n", token.upper()]
    odd += ["A" * 100_000, f"{base64.urlsafe_b64encode(b'[]').decode()}.{signature}"]
    assert {refusal(links, text) for text in odd} == {ErrorCode.PERMISSION_DENIED}


def test_a_token_of_another_secret_is_refused() -> None:
    clock = FakeClock()
    ours, theirs = LocalLinks("", SECRET, clock), LocalLinks("", SECRET[::-1], clock)
    assert refusal(ours, mint(theirs, clock)) == ErrorCode.PERMISSION_DENIED


def test_a_refusal_tells_nothing_of_the_link() -> None:
    clock = FakeClock()
    links = LocalLinks("", SECRET, clock)
    token = mint(links, clock, filename="private name.csv")
    clock.advance(60)
    with pytest.raises(SluiceError) as failure:
        links.verify(token)
    assert failure.value.facts == {}
    assert not any(secret in str(failure.value) for secret in (KEY, "private name", token))


@pytest.mark.parametrize("secret", [b"", b"short", bytes(31)])
def test_a_short_secret_is_refused(secret: bytes) -> None:
    with pytest.raises(ValueError):
        LocalLinks("", secret, FakeClock())


def test_the_secret_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "link.secret"
    first = load_or_create_secret(path, SeededRandomness(1))
    again = load_or_create_secret(path, SeededRandomness(2))
    assert first == again == path.read_bytes()
    assert len(first) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_all_who_start_at_once_get_the_same_secret(tmp_path: Path) -> None:
    path = tmp_path / "link.secret"
    secrets = at_once(16, lambda _: load_or_create_secret(path, SystemRandomness()))
    assert len(set(secrets)) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"too short", bytes(33)])
def test_a_damaged_secret_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "link.secret"
    path.write_bytes(content)
    with pytest.raises(StoreRefused, match=r"link\.secret, .* is damaged: it has \d+ bytes .* or remove it"):
        load_or_create_secret(path, SystemRandomness())
    assert path.read_bytes() == content
