"""Who the stand-in lets in: requests signed by the vendor's own client, and requests with one thing wrong."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.emulators.tablestore import TablestoreServer, serving_tablestore
from infra.emulators.tablestore.messages import pb
from tests.support.tablestore_client import Client, Signing, connecting, create_table, key, ots, put

EITHER = pytest.mark.parametrize("signing", ["v2", "v4"])


@pytest.fixture
def server() -> Iterator[TablestoreServer]:
    with serving_tablestore(instance="ours", region="cn-hangzhou") as server:
        yield server


def refusal(client: Client) -> tuple[int, str, str]:
    with pytest.raises(ots.OTSServiceError) as refused:
        client.list_table()
    return refused.value.http_status, refused.value.code, refused.value.message


@EITHER
def test_who_knows_the_key_is_let_in(server: TablestoreServer, signing: Signing) -> None:
    with connecting(server, signing=signing) as client:
        create_table(client)
        assert client.list_table() == ("tasks",)


@EITHER
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"access_key_id": "nobody"}, "The AccessKeyID does not exist."),
        ({"access_key_secret": "guessed"}, "Signature mismatch."),
        ({"instance_name": "theirs"}, "The instance is not found."),
        ({"sts_token": "made-up"}, "The security token is invalid."),
    ],
    ids=["unknown key", "wrong secret", "other instance", "token nobody issued"],
)
def test_who_does_not_is_refused(
    server: TablestoreServer, signing: Signing, wrong: dict[str, Any], message: str
) -> None:
    with connecting(server, signing=signing, **wrong) as client:
        assert refusal(client) == (403, "OTSAuthFailed", message)


def test_a_signature_for_another_region_is_refused(server: TablestoreServer) -> None:
    with connecting(server, region="cn-shanghai") as client:
        assert refusal(client)[:2] == (403, "OTSAuthFailed")


def test_a_signature_of_another_day_is_refused(server: TablestoreServer) -> None:
    with connecting(server, sign_date="20200101") as client:
        assert refusal(client)[:2] == (403, "OTSAuthFailed")


@EITHER
def test_temporary_credentials_work_with_their_token(server: TablestoreServer, signing: Signing) -> None:
    with connecting(server, signing=signing, credentials=server.issue_sts(60)) as client:
        create_table(client)
        assert client.list_table() == ("tasks",)


@pytest.mark.parametrize("token", [None, "of somebody else"])
def test_temporary_credentials_do_not_work_without_it(server: TablestoreServer, token: str | None) -> None:
    with connecting(server, credentials=server.issue_sts(60), sts_token=token) as client:
        assert refusal(client) == (403, "OTSAuthFailed", "The security token is invalid.")


def test_temporary_credentials_do_not_work_when_their_time_is_over(server: TablestoreServer) -> None:
    with connecting(server, credentials=server.issue_sts(-1)) as client:
        assert refusal(client) == (403, "OTSAuthFailed", "The security token is expired.")


def test_who_is_refused_changes_nothing(server: TablestoreServer) -> None:
    with connecting(server) as client, connecting(server, access_key_secret="guessed") as stranger:
        create_table(client)
        with pytest.raises(ots.OTSServiceError):
            put(stranger, "a", state="OPEN")
        assert client.get_row("tasks", key("a"), max_version=1)[1] is None


class Raw:
    """Requests that the vendor's client signs and a test then spoils."""

    def __init__(self, server: TablestoreServer, client: Client) -> None:
        self._server = server
        self._client = client

    def signed(self, body: bytes = b"", **headers: str) -> dict[str, str]:
        """Return the headers of a ListTable, signed by the SDK as they are now."""
        context = ots.auth.RequestContext(self._client.credentials_provider.get_credentials())
        signer, protocol = self._client._signer, self._client.protocol
        made: dict[str, str] = protocol._make_request_headers(body, "/ListTable", signer, context)
        made |= {name.replace("_", "-"): value for name, value in headers.items()}
        made.pop("x-ots-signature", None)
        signer.make_request_signature_and_add_headers("/ListTable", made, context)
        return made

    def send(self, headers: dict[str, str], body: bytes = b"", **how: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=10)
        try:
            connection.request(how.get("method", "POST"), how.get("path", "/ListTable"), body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, pb.Error.FromString(answer.read()) if answer.status != 200 else None
        finally:
            connection.close()


@pytest.fixture
def raw(server: TablestoreServer) -> Iterator[Raw]:
    with connecting(server, signing="v2") as client:
        yield Raw(server, client)


def test_headers_of_the_sdk_are_enough(raw: Raw) -> None:
    assert raw.send(raw.signed()) == (200, None)


def test_a_header_that_was_changed_after_signing_is_noticed(raw: Raw) -> None:
    status, error = raw.send(raw.signed() | {"x-ots-date": "2020-01-01T00:00:00.000Z"})
    assert (status, error.message) == (403, "Signature mismatch.")


def test_a_header_that_was_added_after_signing_is_noticed(raw: Raw) -> None:
    status, error = raw.send(raw.signed() | {"x-ots-more": "1"})
    assert (status, error.message) == (403, "Signature mismatch.")


def test_a_signature_for_another_operation_is_refused(raw: Raw) -> None:
    status, error = raw.send(raw.signed(), path="/DescribeTable")
    assert (status, error.message) == (403, "Signature mismatch.")


def test_a_body_that_was_changed_after_signing_is_noticed(raw: Raw) -> None:
    status, error = raw.send(raw.signed(b"one"), b"two")
    assert (status, error.code) == (403, "OTSAuthFailed")
    assert "MD5" in error.message


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_date_too_far_from_now_is_refused(raw: Raw, minutes: int) -> None:
    date = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    status, error = raw.send(raw.signed(x_ots_date=date))
    assert (status, error.message) == (403, f"Mismatch between system time and x-ots-date: {date}.")


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_date_a_little_off_is_fine(raw: Raw, minutes: int) -> None:
    date = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert raw.send(raw.signed(x_ots_date=date)) == (200, None)


def test_a_date_that_is_none_is_refused(raw: Raw) -> None:
    status, error = raw.send(raw.signed(x_ots_date="yesterday"))
    assert (status, error.message) == (400, "Invalid date format: yesterday.")


@pytest.mark.parametrize("name", ["x-ots-date", "x-ots-apiversion", "x-ots-accesskeyid", "x-ots-contentmd5"])
def test_a_missing_header_is_named(raw: Raw, name: str) -> None:
    headers = raw.signed()
    del headers[name]
    status, error = raw.send(headers)
    assert (status, error.message) == (400, f"Missing header: '{name}'.")


def test_a_missing_signature_is_none(raw: Raw) -> None:
    headers = raw.signed()
    del headers["x-ots-signature"]
    assert raw.send(headers)[0] == 403


def test_only_post_is_served(raw: Raw) -> None:
    status, error = raw.send({}, method="GET")
    assert (status, error.code) == (405, "OTSMethodNotAllowed")


def test_a_body_beyond_all_limits_is_not_even_read(raw: Raw) -> None:
    status, error = raw.send({"content-length": str(2**40)})
    assert (status, error.code) == (413, "OTSRequestBodyTooLarge")


def test_an_operation_that_is_not_served_says_so(server: TablestoreServer) -> None:
    with connecting(server) as client, pytest.raises(ots.OTSServiceError) as refused:
        client.start_local_transaction("tasks", [("pk", "a")])
    assert refused.value.code == "OTSUnsupportOperation"


def test_a_body_that_is_no_message_is_refused(server: TablestoreServer, raw: Raw) -> None:
    status, error = raw.send(raw.signed(b"\xff\xff"), b"\xff\xff")
    assert (status, error.code) == (400, "OTSParameterInvalid")
    assert [(call.operation, call.status) for call in server.requests] == [("ListTable", 400)]
