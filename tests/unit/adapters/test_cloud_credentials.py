"""Whose credentials are used, from which moment on, and that nothing shows them."""

from __future__ import annotations

import pytest

from sluice.adapters.aliyun.credentials import (
    Credentials,
    CredentialsSource,
    EnvironmentCredentials,
    FixedCredentials,
    LatestCredentials,
)
from sluice.domain.secret import Secret
from sluice.ports.store_errors import StoreRefused

VARIABLES = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI-id",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cret",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "t0ken",
}
ROLE = Credentials("LTAI-id", Secret("s3cret"), Secret("t0ken"))


def test_the_environment_of_a_function_holds_its_role() -> None:
    assert EnvironmentCredentials(VARIABLES)() == ROLE


def test_a_key_that_stays_has_no_token() -> None:
    variables = {name: value for name, value in VARIABLES.items() if "TOKEN" not in name}
    assert not EnvironmentCredentials(variables)().security_token


def test_the_environment_is_read_at_each_use() -> None:
    variables = dict(VARIABLES)
    source = EnvironmentCredentials(variables)
    source()
    variables["ALIBABA_CLOUD_SECURITY_TOKEN"] = "next"
    assert source().security_token.reveal() == "next"


@pytest.mark.parametrize("missing", ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"])
@pytest.mark.parametrize("change", [lambda names, name: names.pop(name), lambda names, name: names.update({name: ""})])
def test_an_environment_without_credentials_says_what_is_missing(missing: str, change: object) -> None:
    variables = dict(VARIABLES)
    assert callable(change)
    change(variables, missing)
    with pytest.raises(StoreRefused, match=missing):
        EnvironmentCredentials(variables)()


def test_the_latest_credentials_are_those_set_last() -> None:
    latest = LatestCredentials()
    latest.set(Credentials("first", Secret("a")))
    latest.set(ROLE)
    assert latest() is ROLE


def test_before_the_first_request_there_are_none() -> None:
    with pytest.raises(StoreRefused, match="no request"):
        LatestCredentials()()


def test_before_the_first_request_others_may_stand_in() -> None:
    latest = LatestCredentials(otherwise=FixedCredentials(ROLE))
    assert latest() is ROLE
    other = Credentials("other", Secret("b"))
    latest.set(other)
    assert latest() is other


@pytest.mark.parametrize(("access_key_id", "secret"), [("", "s"), ("i", "")])
def test_half_a_key_is_none(access_key_id: str, secret: str) -> None:
    with pytest.raises(ValueError):
        Credentials(access_key_id, Secret(secret))


@pytest.mark.parametrize("source", [FixedCredentials(ROLE), EnvironmentCredentials(VARIABLES), LatestCredentials()])
def test_nothing_shows_credentials(source: CredentialsSource) -> None:
    if isinstance(source, LatestCredentials):
        source.set(ROLE)
    shown = f"{source!r} {source()!r} {source()}"
    assert not any(text in shown for text in ("LTAI-id", "s3cret", "t0ken"))
