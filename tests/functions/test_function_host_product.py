"""The product as the cloud runs it: its own deployment file, the vendor's SDKs, a day's trouble, in small."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from infra.emulators.function_compute.environment import ACCOUNT_ID
from infra.emulators.function_compute.roles import grants_of
from infra.emulators.oss import Call as OssCall
from infra.emulators.oss import serving_oss
from infra.emulators.tablestore import Call as TableCall
from infra.emulators.tablestore import serving_tablestore
from infra.local.cloud import INPUT, OUTPUT, TEMPLATE_VALUES, RoleKeys
from infra.local.demo import Mismatch, main, run_demo
from infra.local.demo_checks import READS_MAX, check_cities, check_orders_csv, checked_calls
from sluice.adapters.aliyun.oss.bucket import oss2
from sluice.demo.order_table import COLUMNS, order_rows

ROWS, CITIES = 12_000, 2_000


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_days_trouble_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """The demo compares every cell, and counts every call; here it is enough that it comes to its end."""
    said: list[str] = []
    run_demo(tmp_path, rows=ROWS, cities=CITIES, say=said.append)
    print(*said, sep="\n")  # shown when something below fails
    story = "\n".join(said)
    for chapter in (
        "each batch cost one OSS PUT and one Tablestore UpdateRow",
        "killed 1 composer (SIGKILL)",
        "the trigger was lost, the sweeper rang",
        "the trigger came twice",
        "three files are left, and nothing else",
    ):
        assert chapter in story
    assert story.count("cells are as sent, SHA-256 as stated") == 3
    assert len(list(tmp_path.glob("*.xlsx"))) == 2
    assert_logs_hold_no_secret(tmp_path)


def assert_logs_hold_no_secret(folder: Path) -> None:
    """Every line of every function is JSON, and none holds a token, a link's signature or a key."""
    logs = sorted(folder.glob("*.log"))
    assert {log.stem for log in logs} >= {"relay_grpc", "relay_http", "query", "compose", "sweep"}
    for log in logs:
        text = log.read_text(encoding="utf-8")
        assert all(json.loads(line)["event"] for line in text.splitlines())
        assert not [mark for mark in ("stand-in-sts-secret", "CAIS-", "x-oss-signature", "slc_") if mark in text]


def calls(puts: int, updates: int, reads: int = 3) -> tuple[list[OssCall], list[TableCall]]:
    oss = [OssCall("PutObject", "in", f"in/v1/{number}.chunk", 200) for number in range(puts)]
    return oss, [TableCall("UpdateRow") for _ in range(updates)] + [TableCall("GetRow") for _ in range(reads)]


def test_batches_that_cost_one_put_and_one_update_each_are_fine() -> None:
    assert checked_calls(*calls(5, 5), 5, "in") == ""


@pytest.mark.parametrize(("puts", "updates", "reads"), [(6, 5, 3), (5, 6, 3), (5, 5, READS_MAX + 1), (4, 5, 0)])
def test_any_call_more_or_less_is_noticed(puts: int, updates: int, reads: int) -> None:
    assert checked_calls(*calls(puts, updates, reads), 5, "in")


def test_a_call_that_failed_and_was_repeated_is_noticed() -> None:
    oss, tables = calls(5, 5)
    assert checked_calls([*oss, OssCall("PutObject", "in", "k", 503)], tables, 5, "in")


def test_a_file_with_another_cell_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    lines = [",".join(column.name for column in COLUMNS), *(",".join("x" * len(COLUMNS)) for _ in range(3))]
    file.write_text("\n".join(lines))
    with pytest.raises(AssertionError, match="SHA-256"):
        check_orders_csv(file, 3, "0" * 64)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(AssertionError, match="row 2"):
        check_orders_csv(file, 3, digest)
    assert len(list(order_rows(3))) == 3


def test_a_file_with_another_digest_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "cities.xlsx"
    file.write_bytes(b"x")
    with pytest.raises(AssertionError, match="SHA-256"):
        check_cities(file, [], "0" * 64)


@pytest.mark.parametrize("error", [Mismatch("two files"), AssertionError("row 2"), RuntimeError("NOT_READY")])
def test_a_failing_day_ends_with_a_word_and_a_bad_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    assert main(["--output", str(tmp_path / "out")], fail) == 1
    assert str(error) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "."], "not empty"),
        (["--rows", "2000", "--cities", "2000"], "cities"),
        (["--rows", "-1"], "cities"),
    ],
)
def test_a_day_that_would_delete_somebodys_files_or_has_no_orders_does_not_begin(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").write_text("dear")
    with pytest.raises(SystemExit):
        main(arguments, lambda *_, **__: None)
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_role_may_do_in_oss_what_its_policies_say_and_no_more() -> None:
    compose = grants_of(f"acs:ram::{ACCOUNT_ID}:role/sluice-local-compose", TEMPLATE_VALUES)
    assert ("GetObject", f"{INPUT}/in/v1/*") in compose
    assert ("CompleteMultipartUpload", f"{OUTPUT}/out/v1/*/export.*") in compose
    assert not [grant for grant in compose if grant[0].startswith(("Delete", "List")) or "*" in grant[0]]
    query = grants_of(f"acs:ram::{ACCOUNT_ID}:role/sluice-local-query", TEMPLATE_VALUES)
    assert {operation for operation, _ in query} == {"GetObject", "HeadObject"}
    with pytest.raises(KeyError):
        grants_of(f"acs:ram::{ACCOUNT_ID}:role/sluice-local-nobody", TEMPLATE_VALUES)


def test_a_function_is_refused_what_its_role_may_not_do(tmp_path: Path) -> None:
    with serving_oss(buckets=(INPUT, OUTPUT), folder=tmp_path) as oss, serving_tablestore() as ots:
        key = RoleKeys(oss, ots, {"sweep": f"acs:ram::{ACCOUNT_ID}:role/sluice-local-sweep"}).of("sweep")
        auth = oss2.StsAuth(key.access_key_id, key.access_key_secret, key.security_token)
        bucket = oss2.Bucket(auth, oss.endpoint, INPUT)
        assert bucket.list_objects_v2(prefix="in/v1/").object_list == []
        with pytest.raises(oss2.exceptions.AccessDenied):
            bucket.put_object("in/v1/aa/acme/x/c/1.chunk", b"x")
