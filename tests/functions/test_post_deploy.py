"""The check after a deployment: it passes on a stage that works, and says what is wrong with one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.emulators.function_compute.interpreter import source_tree
from infra.emulators.function_compute.triggers import NEVER
from infra.emulators.oss.faults import Fault, Refuse
from infra.local.cloud import INPUT, OUTPUT, SOON, TIMEOUT_S, LocalCloud, deploy_variables, local_cloud
from infra.post_deploy.__main__ import main
from infra.post_deploy.stage_check import TENANT
from sluice.adapters.aliyun.tablestore.keys import TablestoreKeys

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with local_cloud(tmp_path_factory.mktemp("cloud"), interpreter=source_tree()) as running:
        yield running


def check(cloud: LocalCloud, *options: str) -> int:
    variables = deploy_variables(cloud.oss, cloud.ots) | {
        "DEPLOY_TABLESTORE_PUBLIC_ENDPOINT": cloud.ots.endpoint,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": cloud.ots.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": cloud.ots.access_key_secret,
    }
    places = ["--url", cloud.host.doors["api_domain"].url, "--functions-url", cloud.host.interface.url]
    return main(["--env-file", "/no/such/file", *places, *options], variables)


def test_a_stage_that_works_passes_and_keeps_no_key(cloud: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(cloud) == 0
    said = capsys.readouterr().out
    assert said.count("ok     ") == 5
    assert "WRONG" not in said
    assert "the stage works" in said
    keys = TablestoreKeys(cloud.access, timeout_s=TIMEOUT_S)
    made = [key for key in keys.read() if key.tenant == TENANT]
    keys.close()
    assert made
    assert all(key.revoked_at for key in made)
    assert cloud.ots.access_key_secret not in said


def test_an_address_that_does_not_answer_is_named(cloud: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(cloud, "--url", "http://127.0.0.1:1") == 1
    said = capsys.readouterr().out
    assert "WRONG  an export: http://127.0.0.1:1 is not reached" in said
    assert "does the domain's CNAME lead to Function Compute" in said


def test_a_trigger_that_does_not_come_is_told(cloud: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.host.triggers["compose/manifests"].plan(NEVER)
    assert check(cloud, "--wait-s", "1") == 1
    assert "Neither the bucket's trigger nor the sweeper had it composed" in capsys.readouterr().out


@pytest.mark.timeout(300)
def test_an_export_that_the_bucket_denies_shows_its_last_attempt_s_error_at_once(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    for operation in ("PutObject", "InitiateMultipartUpload"):
        cloud.oss.faults.add(Fault(Refuse(403, "AccessDenied"), operation=operation, bucket=OUTPUT))
    said = ""
    try:
        for wait_s in ("5", "30", "90"):  # on a slow machine the first attempt ends later
            if "; attempt 1 ended" not in said:
                assert check(cloud, "--wait-s", wait_s) == 1
                said = capsys.readouterr().out
    finally:
        cloud.oss.faults.clear()
    assert "; attempt 1 ended with STORE_UNAVAILABLE: StoreRefused: AccessDenied" in said


def test_a_link_that_the_bucket_refuses_is_told(cloud: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    """New accounts in mainland regions meet this."""
    refused = Fault(Refuse(403, "PublicEndpointForbidden"), operation="GetObject", bucket=OUTPUT)
    cloud.oss.faults.add(refused)
    try:
        assert check(cloud) == 1
    finally:
        cloud.oss.faults.clear()
    said = capsys.readouterr().out
    assert "WRONG  an export: the link to" in said
    assert "`provision up --download-domain`" in said


def test_a_bucket_that_hides_what_is_missing_is_told(cloud: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    buckets = [cloud.oss.store.storage.buckets[name] for name in (INPUT, OUTPUT)]
    for bucket in buckets:
        bucket.hides_missing = True
    try:
        assert check(cloud) == 1
    finally:
        for bucket in buckets:
            bucket.hides_missing = False
    said = capsys.readouterr().out
    assert "WRONG  compose, from inside: missing_" in said
    assert "ok     an export" in said


def test_functions_that_do_not_reach_tablestore_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    away = SOON | {"SLUICE_TABLESTORE_ENDPOINT": "http://127.0.0.1:1"}
    with local_cloud(tmp_path, overrides=away, interpreter=source_tree()) as cloud:
        assert check(cloud) == 1
    said = capsys.readouterr().out
    assert "ok     tables" in said
    assert "WRONG  compose, from inside: Tablestore from the function" in said
    assert "`provision up --tablestore-domain` chooses the other network" in said
    assert "WRONG  an export: sending" in said


def test_without_an_access_key_the_check_does_not_begin(capsys: pytest.CaptureFixture[str]) -> None:
    variables = {"DEPLOY_REGION": "r", "DEPLOY_ACCOUNT_ID": "1", "DEPLOY_STAGE": "dev"}
    assert main(["--env-file", "/no/such/file"], variables) == 2
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID is not set" in capsys.readouterr().err
