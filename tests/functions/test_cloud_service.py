"""The one-machine service and its commands over the cloud's stores, and what the settings make of a cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.emulators.oss import Fault, Throttle
from sluice.adapters.aliyun.credentials import EnvironmentCredentials
from sluice.adapters.aliyun.function_compute.fc2_invoker import Fc2Invoker
from sluice.adapters.aliyun.function_compute.http_invoker import FcHttpInvoker
from sluice.adapters.aliyun.function_compute.manifest_put_invoker import ManifestPutInvoker
from sluice.adapters.aliyun.function_compute.reading_event import ReadersAndComposers
from sluice.adapters.workers.no_composers import NoComposers
from sluice.app.aliyun import credentials_of, open_cloud
from sluice.app.backends import open_ports
from sluice.app.settings.validation import Settings, SettingsError, environment, settings_from
from sluice.client import Client
from sluice.domain.keys import TaskRef, TenantId, chunk_key, task_id_from_bytes
from sluice.domain.limits import Timings
from sluice.domain.task import State
from sluice.ports.store_errors import OutcomeUnknown
from tests.support.cloud_functions import Cloud, serving_cloud
from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.recorded_journal import RecordedJournal
from tests.support.running_service import serving

CLOUD = {
    "SLUICE_STORAGE_BACKEND": "oss",
    "SLUICE_OSS_ENDPOINT": "https://oss-cn-hangzhou-internal.aliyuncs.com",
    "SLUICE_OSS_REGION": "cn-hangzhou",
    "SLUICE_OSS_BUCKET": "acme-in",
    "SLUICE_OSS_RESULT_BUCKET": "acme-out",
    "SLUICE_TABLESTORE_ENDPOINT": "https://acme.cn-hangzhou.vpc.tablestore.aliyuncs.com",
    "SLUICE_TABLESTORE_INSTANCE": "acme",
    "SLUICE_OSS_ACCESS_KEY_ID": "id",
    "SLUICE_OSS_ACCESS_KEY_SECRET": "secret",
}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with serving_cloud(tmp_path) as cloud:
        yield cloud


def settings_of(**more: str) -> Settings:
    return settings_from({**CLOUD, **more}, None)


def test_in_the_cloud_the_protocols_own_timings_are_the_defaults() -> None:
    timings, protocol = settings_of().timings(), Timings()
    waits = ("lease_s", "heartbeat_s", "skew_s", "trigger_grace_s")
    assert [getattr(timings, name) for name in waits] == [getattr(protocol, name) for name in waits]
    assert settings_from({}, None).timings().lease_s < protocol.lease_s


def test_what_somebody_sets_wins_over_the_clouds_defaults() -> None:
    assert settings_of(SLUICE_CONCURRENCY_LEASE_S="60").timings().lease_s == 60
    with pytest.raises(SettingsError, match="heartbeat"):
        settings_of(SLUICE_CONCURRENCY_LEASE_S="5")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ManifestPutInvoker),
        ({"SLUICE_FUNCTIONS_INVOKER": "http", "SLUICE_FUNCTIONS_COMPOSE_URL": "https://c.example"}, FcHttpInvoker),
        (
            {
                "SLUICE_FUNCTIONS_INVOKER": "fc2",
                "SLUICE_FUNCTIONS_FC2_ENDPOINT": "https://1.cn-hangzhou.fc.aliyuncs.com",
                "SLUICE_FUNCTIONS_FC2_SERVICE": "sluice",
                "SLUICE_FUNCTIONS_FC2_FUNCTION": "compose",
            },
            Fc2Invoker,
        ),
    ],
)
def test_the_settings_choose_who_rings_for_the_sweeper(more: dict[str, str], expected: type) -> None:
    with open_cloud(settings_of(**more), RecordedJournal()) as ports:
        assert isinstance(ports.invoker, ReadersAndComposers)
        assert isinstance(ports.invoker.composers, expected)
        assert isinstance(ports.invoker.readers, NoComposers)
    reads = {"SLUICE_FUNCTIONS_EXTRACT_URL": "https://e.example"}
    with open_cloud(settings_of(**more, **reads), RecordedJournal()) as ports:
        assert isinstance(ports.invoker, ReadersAndComposers)
        assert isinstance(ports.invoker.readers, FcHttpInvoker)


@pytest.mark.parametrize(
    ("more", "address"),
    [
        ({}, "https://acme-out.oss-cn-hangzhou-internal.aliyuncs.com/out/v1/k?"),
        (
            {"SLUICE_OSS_DOWNLOAD_ENDPOINT": "https://oss-cn-hangzhou.aliyuncs.com"},
            "https://acme-out.oss-cn-hangzhou.aliyuncs.com/out/v1/k?",
        ),
        ({"SLUICE_OSS_DOWNLOAD_DOMAIN": "https://files.example.com"}, "https://files.example.com/out/v1/k?"),
    ],
)
def test_links_lead_to_where_the_settings_say_browsers_go(more: dict[str, str], address: str) -> None:
    with open_cloud(settings_of(**more), RecordedJournal()) as ports:
        link = ports.links.mint_link("out/v1/k", filename="a.csv", expires_at=ports.clock.now() + 60)
    assert link.startswith(address)


def test_without_an_access_key_the_platforms_word_is_taken() -> None:
    without = settings_of(SLUICE_OSS_ACCESS_KEY_ID="", SLUICE_OSS_ACCESS_KEY_SECRET="")
    assert isinstance(credentials_of(without), EnvironmentCredentials)
    given = credentials_of(settings_of(SLUICE_OSS_SECURITY_TOKEN="token"))()
    assert (given.access_key_id, given.security_token.reveal()) == ("id", "token")


def test_the_environment_is_read_at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    held = environment()
    monkeypatch.setenv("SLUICE_TEST_LOOK", "now")
    assert held["SLUICE_TEST_LOOK"] == "now"


def test_opening_the_cloud_asks_nothing_of_it() -> None:
    """Functions open it before they know who they are."""
    with open_ports(settings_of(), RecordedJournal()) as ports:
        assert ports.timings.lease_s == Timings().lease_s


def test_the_service_composes_beside_the_cloud_and_its_commands_look_there(cloud: Cloud, tmp_path: Path) -> None:
    env = {**cloud.settings(), **cloud.access_key(), "SLUICE_STORAGE_BACKEND": "oss"}
    token = cloud.add_key()
    with serving(tmp_path / "data", env={**env, "SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS": "1"}) as service:
        assert CALLER.get(f"{service.url}/v1/files/token").status_code == 404  # links lead to the store
        with Client(service.url, token) as client:
            export = client.send_table([["1"], ["2"]], columns=["id"], format="csv", filename="a.csv")
            export.wait(60)
            link, task_id = export.link().url, export.id
        assert link.startswith(f"{cloud.oss.endpoint}/sluice-out/")
        assert CALLER.get(link).text.split() == ["\ufeffid", "1", "2"]
    assert not (tmp_path / "data" / "tasks.sqlite3").exists()
    (shown,) = json.loads(sluice("task", "list", "--json", env=env).stdout)
    assert (shown["tenant"], shown["task"]["state"]) == ("shop", State.COMPLETED.value)
    assert "whole" in sluice("task", "verify", task_id, env=env).stdout
    assert cloud.oss.access_key_secret not in service.log.read_text()


def test_the_commissioned_configuration_keeps_files_in_oss_and_rows_beside_the_service(
    cloud: Cloud, tmp_path: Path
) -> None:
    data, config = tmp_path / "data", tmp_path / "config.yaml"
    key = (cloud.oss.access_key_id, cloud.oss.access_key_secret)
    config.write_text(
        f"oss:\n  endpoint: {cloud.oss.endpoint}\n  region: {cloud.oss.region}  # an address names none\n"
        f"  bucket: sluice-in\n  access_key_id: {key[0]}\n  access_key_secret: {key[1]}\n"
    )
    config.chmod(0o600)
    with serving(data, arguments=("--config", str(config))) as service, Client(service.url) as client:
        export = client.send_table([["1"], ["2"]], columns=["id"], format="csv", filename="a.csv")
        export.wait(60)
        link = export.link().url
        assert link.startswith(f"{cloud.oss.endpoint}/sluice-in/out/v1/")
        assert CALLER.get(link).text.split() == ["\ufeffid", "1", "2"]
    assert (data / "tasks.sqlite3").exists()
    log = service.log.read_text()
    assert "oss.access_key_secret is a secret in a file" in log
    assert key[1] not in log


@pytest.mark.parametrize(("request_timeout_s", "tries"), [("23.5", 1), ("60", 2)])
def test_no_call_goes_on_when_its_caller_waits_no_more(cloud: Cloud, request_timeout_s: str, tries: int) -> None:
    """A try takes up to 23 s, and the store wants to be left alone for a second."""
    settings = settings_from(
        {
            **cloud.settings(),
            **cloud.access_key(),
            "SLUICE_SERVER_REQUEST_TIMEOUT_S": request_timeout_s,
            "SLUICE_PERFORMANCE_RETRIES": "1",
        },
        None,
    )
    key = chunk_key(TaskRef(TenantId("shop"), task_id_from_bytes(bytes(17))), 1, "0" * 32)
    cloud.oss.faults.add(Fault(Throttle(delay_ms=1000), operation="PutObject", times=9))
    with open_cloud(settings, RecordedJournal()) as ports, pytest.raises(OutcomeUnknown):
        ports.objects.put(key, b"")
    assert [call.operation for call in cloud.oss.requests] == ["PutObject"] * tries
