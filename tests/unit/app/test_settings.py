"""Settings: precedence, mistakes reported together, secrets that do not show."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from sluice.app.settings.source import RENAMED
from sluice.app.settings.validation import Settings, SettingsError, setting_types, settings_from
from sluice.domain.limits import Limits, Timings
from sluice.domain.secret import Secret

CANARY = "canary-5cf1d0"


def a_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(env: Mapping[str, str], file: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        settings_from(env, file)
    return caught.value.problems


@pytest.mark.parametrize(
    "origin",
    [
        "*", "null", "app.example.com", "https://", "https://App.example.com", "https://app.example.com/", "ftp://a.b",
        "https://app.example.com:443", "http://app.example.com:80", "https://app.example.com/orders", "https://*.b.com",
        "https://a.b https://c.d", "https://user@app.example.com", "https://app.example.com:0", "https://app.example.com.",
    ],
)  # fmt: skip
def test_what_no_browser_sends_as_an_origin_is_none_that_is_allowed(origin: str) -> None:
    (problem,) = problems_of({"SLUICE_DATASETS_ALLOWED_ORIGINS": f"https://app.example.com, {origin}"})
    assert "SLUICE_DATASETS_ALLOWED_ORIGINS" in problem
    assert "such as https://app.example.com" in problem


def test_origins_are_allowed_as_browsers_send_them() -> None:
    good = (
        "https://app.example.com",
        "http://127.0.0.1:8000",
        "http://localhost:3000",
        "http://[::1]:8443",
        "https://x",
    )
    settings = settings_from({"SLUICE_DATASETS_ALLOWED_ORIGINS": ",".join(good)}, None)
    assert settings.datasets.allowed_origins == good


def test_without_anything_the_defaults_hold() -> None:
    settings = settings_from({}, None)
    assert settings == Settings()
    assert (settings.server.grpc_port, settings.server.http_port, settings.monitoring.metrics_port) == (
        9090,
        9091,
        8080,
    )
    assert settings.server.host == "127.0.0.1"
    assert settings.concurrency.max_concurrent_tasks == 10
    assert settings.performance.part_bytes == 1024 * 1024
    assert settings.performance.retries == 3
    assert settings.performance.upload_timeout_s == 1800
    assert settings.storage.link_life_s == 900
    assert not settings.server.reflection


def test_an_option_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = a_file(tmp_path, "server: {grpc_port: 1001, http_port: 1002, host: 127.0.0.2}\n")
    env = {"SLUICE_SERVER_GRPC_PORT": "2001", "SLUICE_SERVER_HTTP_PORT": "2002"}
    server = settings_from(env, file, {"server.grpc_port": 3001, "server.http_port": None}).server
    assert (server.grpc_port, server.http_port, server.host) == (3001, 2002, "127.0.0.2")


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    file = a_file(tmp_path, "server: {host: 127.0.0.2}\n")
    assert settings_from({"SLUICE_SERVER_HOST": ""}, file).server.host == "127.0.0.2"


def test_text_from_the_environment_becomes_what_the_setting_is() -> None:
    settings = settings_from(
        {
            "SLUICE_SECURITY_AUTH_REQUIRED": "true",
            "SLUICE_CONCURRENCY_LEASE_S": "7.5",
            "SLUICE_STORAGE_CLEANUP_DELAYS_S": "60, 120.5",
            "SLUICE_LOGGING_LEVEL": "debug",
            "SLUICE_SERVER_ENVIRONMENT": "development",
        },
        None,
    )
    assert settings.security.auth_required
    assert settings.concurrency.lease_s == 7.5
    assert list(settings.storage.cleanup_delays_s) == [60, 120.5]
    assert settings.logging.level == "DEBUG"
    assert settings.server.reflection


def test_all_mistakes_are_reported_together_each_with_its_place(tmp_path: Path) -> None:
    file = a_file(
        tmp_path,
        """
        server:
          htp_port: 9091
          connections_max: many
        concurency:
          lease_s: 1
        logging: loud
        """,
    )
    env = {
        "SLUICE_SERVER_GRPC_PORT": "70000",
        "SLUICE_LOGGING_LEVEL": "loud",
        "SLUICE_SERVER_HOTS": "localhost",
        "SLUICE_CONCURRENCY_HEARTBEAT_S": "11",
    }
    assert list(problems_of(env, file)) == [
        "config.yaml:3 server.htp_port: is no setting; did you mean server.http_port?",
        "config.yaml:6 concurency.lease_s: is no category of settings; did you mean concurrency?",
        "config.yaml:7 logging: holds no settings, but a value",
        "SLUICE_SERVER_HOTS: is no setting; did you mean SLUICE_SERVER_HOST?",
        "config.yaml:4 server.connections_max: expected int, not 'many'",
        "SLUICE_SERVER_GRPC_PORT: expected int <= 65535, not '70000'",
        "SLUICE_LOGGING_LEVEL: expected one of DEBUG, INFO, WARN, ERROR, FATAL, not 'loud'",
        "SLUICE_CONCURRENCY_HEARTBEAT_S, concurrency.lease_s (default): the heartbeat must come before the lease ends",
    ]


def test_the_error_shows_every_problem() -> None:
    error = SettingsError(["one", "two"])
    assert str(error).splitlines()[1:] == ["  - one", "  - two"]


@pytest.mark.parametrize(
    ("env", "part"),
    [
        ({"SLUICE_SERVER_HTTP_PORT": "9090"}, "each needs a port of its own"),
        ({"SLUICE_CONCURRENCY_BACKOFF_S": "700"}, "the first wait is longer"),
        ({"SLUICE_STORAGE_RETENTION_S": "60"}, "a link would outlive its file"),
        ({"SLUICE_SERVER_TRUSTED_PROXIES": "10.0.0.1/8"}, "each is an address, or a network"),
        ({"SLUICE_SERVER_TRUSTED_PROXIES": "127.0.0.1,proxy.internal"}, "each is an address, or a network"),
        ({"SLUICE_SERVER_TRUSTED_PROXIES": "*"}, "each is an address, or a network"),
        ({"SLUICE_SECURITY_RATE_LIMIT_BURST": "5"}, "a burst needs a rate"),
        ({"SLUICE_SECURITY_TLS_KEY_FILE": "key.pem"}, "both the certificate and its key"),
        ({"SLUICE_SECURITY_WATCH_SECRET": "w" * 31}, "at least 32 bytes"),
        ({"SLUICE_OSS_ACCESS_KEY_ID": "id"}, "both an id and a secret"),
        ({"SLUICE_OSS_SECURITY_TOKEN": "t"}, "belongs to an access key"),
        ({"SLUICE_STORAGE_BACKEND": "oss"}, "tablestore.instance (default): the oss backend needs each of these"),
        ({"SLUICE_STORAGE_LINK_LIFE_S": "604801"}, "expected float <= 604800"),
        ({"SLUICE_PERFORMANCE_PART_BYTES": "1000000000"}, "expected int <= 104857600"),
        ({"SLUICE_CONCURRENCY_LEASE_S": "nan"}, "expected float > 0"),
        ({"SLUICE_CONCURRENCY_LEASE_S": "inf"}, "expected float <="),
        ({"SLUICE_SECURITY_AUTH_REQUIRED": "yes"}, "expected bool, not 'yes'"),
        ({"SLUICE_SERVER_PUBLIC_URL": "exports.example.com"}, "matching regex"),
        ({"SLUICE_STORAGE_CLEANUP_DELAYS_S": "60,soon"}, "expected float, not '60,soon'"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(env: dict[str, str], part: str) -> None:
    (problem,) = problems_of(env)
    assert part in problem


def test_text_in_the_file_is_no_number(tmp_path: Path) -> None:
    problems = problems_of({}, a_file(tmp_path, 'server: {grpc_port: "9190"}\nsecurity: {auth_required: 1}\n'))
    assert [problem.partition(": ")[2] for problem in problems] == ["expected int, not '9190'", "expected bool, not 1"]


def test_nothing_is_concluded_from_a_value_that_is_wrong_itself() -> None:
    env = {"SLUICE_CONCURRENCY_LEASE_S": "long", "SLUICE_CONCURRENCY_HEARTBEAT_S": "11"}
    assert problems_of(env) == ("SLUICE_CONCURRENCY_LEASE_S: expected float, not 'long'",)


def test_three_ports_of_zero_do_not_collide() -> None:
    names = ("SLUICE_SERVER_GRPC_PORT", "SLUICE_SERVER_HTTP_PORT", "SLUICE_MONITORING_METRICS_PORT")
    assert settings_from(dict.fromkeys(names, "0"), None).server.grpc_port == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLUICE_SERVICE_HOST", "10.0.0.1"),
        ("SLUICE_SERVICE_PORT", "9090"),
        ("SLUICE_SERVICE_PORT_GRPC", "9090"),
        ("SLUICE_PORT", "tcp://10.0.0.1:9090"),
        ("SLUICE_SERVER_PORT", "tcp://10.0.0.1:9090"),
        ("SLUICE_PORT_9090_TCP_ADDR", "10.0.0.1"),
        ("SLUICE_TOKEN", "of the command line"),
        ("SLUICEGATE", "somebody else's"),
        ("PATH", "/bin"),
    ],
)
def test_variables_that_others_set_are_no_mistake(name: str, value: str) -> None:
    assert settings_from({name: value}, None) == Settings()


def test_a_port_in_a_misspelt_variable_is_a_mistake() -> None:
    assert problems_of({"SLUICE_GRPC_PORT": "9090"}) == (
        "SLUICE_GRPC_PORT: is no setting; did you mean SLUICE_SERVER_GRPC_PORT?",
    )


def test_the_commissioned_names_for_oss_work_and_ours_win() -> None:
    env = {
        "OSS_ENDPOINT": "oss-cn-hangzhou.aliyuncs.com",
        "OSS_BUCKET": "theirs",
        "SLUICE_OSS_BUCKET": "ours",
        "OSS_ACCESS_KEY_ID": "id",
        "OSS_ACCESS_KEY_SECRET": CANARY,
    }
    oss = settings_from(env, None).oss
    assert (oss.endpoint, oss.bucket) == ("oss-cn-hangzhou.aliyuncs.com", "ours")
    assert (oss.access_key_id.reveal(), oss.access_key_secret.reveal()) == ("id", CANARY)


def test_a_setting_is_taken_under_its_old_name_with_a_warning_that_says_the_new_one(tmp_path: Path) -> None:
    file = a_file(tmp_path, "concurrency:\n  bell_grace_s: 7\n")
    from_file, from_environment, from_flags = (list[str]() for _ in range(3))
    assert settings_from({}, file, warnings=from_file).timings().trigger_grace_s == 7
    env = {"SLUICE_CONCURRENCY_BELL_GRACE_S": "8"}
    assert settings_from(env, file, warnings=from_environment).timings().trigger_grace_s == 8
    flags = {"concurrency.bell_grace_s": 9}
    assert settings_from(env, file, flags, warnings=from_flags).timings().trigger_grace_s == 9
    end = "and will be refused by the next release"
    assert from_file == [
        f"config.yaml:2 concurrency.bell_grace_s: is the old name of concurrency.trigger_grace_s {end}",
    ]
    assert from_environment == [
        f"SLUICE_CONCURRENCY_BELL_GRACE_S: is the old name of SLUICE_CONCURRENCY_TRIGGER_GRACE_S {end}",
    ]
    assert from_flags == [f"--bell-grace-s: is the old name of concurrency.trigger_grace_s {end}"]


@pytest.mark.parametrize("old_in_environment", [True, False])
def test_the_new_name_wins_over_the_old_one_wherever_each_is_given(tmp_path: Path, old_in_environment: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    old, new = ("7", "8")
    variable = "SLUICE_CONCURRENCY_BELL_GRACE_S" if old_in_environment else "SLUICE_CONCURRENCY_TRIGGER_GRACE_S"
    name = "trigger_grace_s" if old_in_environment else "bell_grace_s"
    file = a_file(tmp_path, f"concurrency: {{{name}: {new if old_in_environment else old}}}\n")
    warnings: list[str] = []
    settings = settings_from({variable: old if old_in_environment else new}, file, warnings=warnings)
    assert settings.concurrency.trigger_grace_s == 8
    (warning,) = warnings
    assert "bell_grace_s" in warning.lower().partition(": ")[0]
    assert "is ignored, since " in warning


def test_a_setting_under_its_new_name_warns_of_nothing() -> None:
    warnings: list[str] = []
    settings_from({"SLUICE_CONCURRENCY_TRIGGER_GRACE_S": "1"}, None, warnings=warnings)
    assert warnings == []


def test_a_wrong_value_under_an_old_name_is_reported_where_it_stands() -> None:
    assert problems_of({"SLUICE_CONCURRENCY_BELL_GRACE_S": "soon"}) == (
        "SLUICE_CONCURRENCY_BELL_GRACE_S: expected float, not 'soon'",
    )


def test_an_old_name_is_never_proposed() -> None:
    assert problems_of({"SLUICE_CONCURRENCY_BELL_GRACE": "1"}) == (
        "SLUICE_CONCURRENCY_BELL_GRACE: is no setting; did you mean SLUICE_CONCURRENCY_TRIGGER_GRACE_S?",
    )


def test_the_old_names_are_no_settings_and_the_new_ones_are() -> None:
    assert not set(RENAMED) & set(setting_types())
    assert set(RENAMED.values()) <= set(setting_types())


COMMISSIONED = f"""\
oss:
  endpoint: oss-cn-hangzhou.aliyuncs.com
  bucket: your-bucket-name
  access_key_id: YOUR_ACCESS_KEY_ID
  access_key_secret: {CANARY}
"""


def test_a_secret_in_a_file_that_others_may_read_is_a_mistake_and_is_not_shown(tmp_path: Path) -> None:
    file = a_file(tmp_path, f"oss: {{access_key_secret: {CANARY}}}\n")
    for mode in (0o644, 0o640, 0o604):
        file.chmod(mode)
        assert problems_of({}, file) == (
            (
                "config.yaml:1 oss.access_key_secret: is a secret, and others may read the file: chmod "
                "600 config.yaml, or give the secret by the variable SLUICE_OSS_ACCESS_KEY_SECRET"
            ),
        )


def test_the_commissioned_block_is_taken_with_a_warning_from_a_file_of_the_owner_alone(tmp_path: Path) -> None:
    file, warnings = a_file(tmp_path, COMMISSIONED), list[str]()
    file.chmod(0o600)
    settings = settings_from({}, file, warnings=warnings)
    assert (settings.storage.backend, settings.oss.region) == ("oss_files", "cn-hangzhou")
    assert (settings.oss.bucket, settings.oss.access_key_secret.reveal()) == ("your-bucket-name", CANARY)
    assert [warning.split()[1] for warning in warnings] == ["oss.access_key_id", "oss.access_key_secret"]
    assert all("is a secret in a file" in warning and CANARY not in warning for warning in warnings)


def test_the_four_commissioned_variables_are_enough() -> None:
    four = {
        "OSS_ENDPOINT": "https://oss-ap-southeast-1-internal.aliyuncs.com",
        "OSS_BUCKET": "b",
        "OSS_ACCESS_KEY_ID": "id",
        "OSS_ACCESS_KEY_SECRET": CANARY,
    }
    settings = settings_from(four, None)
    assert (settings.storage.backend, settings.oss.region) == ("oss_files", "ap-southeast-1")
    assert settings_from({**four, "SLUICE_STORAGE_BACKEND": "directory"}, None).storage.backend == "directory"
    assert settings_from({**four, "SLUICE_OSS_REGION": "r"}, None).oss.region == "r"
    for name in four:
        assert settings_from({**four, name: ""} | ({"OSS_ACCESS_KEY_ID": "", "OSS_ACCESS_KEY_SECRET": ""}
                             if "KEY" in name else {}), None).storage.backend == "directory"  # fmt: skip
    assert problems_of({**four, "OSS_ENDPOINT": "files.example.com"}) == (
        (
            "storage.backend (by OSS_ENDPOINT), OSS_ENDPOINT, oss.region (default), OSS_BUCKET: "
            "the oss_files backend needs each of these"
        ),
    )


def test_no_mistake_shows_the_value_of_a_secret() -> None:
    env = {"SLUICE_OSS_ACCESS_KEY_SECRET": CANARY, "SLUICE_OSS_ACESS_KEY_SECRET": CANARY, "SLUICE_X": CANARY}
    problems = problems_of(env)
    assert len(problems) == 3
    assert CANARY not in "".join(problems)


def test_a_secret_shows_nowhere_but_where_it_is_asked_for() -> None:
    env = {"SLUICE_OSS_ACCESS_KEY_ID": CANARY, "SLUICE_OSS_ACCESS_KEY_SECRET": CANARY}
    settings = settings_from(env, None)
    shown = [
        repr(settings),
        str(settings),
        f"{settings.oss.access_key_secret:>40}",
        str(msgspec.structs.asdict(settings.oss)),
    ]
    assert all(CANARY not in text for text in shown)
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)
    with pytest.raises(TypeError):
        pickle.dumps(settings)
    with pytest.raises(TypeError):
        copy.deepcopy(settings.oss.access_key_secret)
    assert settings.oss.access_key_secret.reveal() == CANARY


def test_secrets_compare_by_content_and_are_false_when_empty() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert not Secret("")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a\n- b\n", "config.yaml: is not a mapping of categories"),
        ("server: {host: [\n", "config.yaml:2: is not YAML: "),
        ("server: {host: !!python/object:os.system x}\n", "config.yaml:1: is not YAML: "),
        ("server: {host: a, host: b}\n", "config.yaml in server: host is given twice, again on line 1"),
        ("server: {}\nserver: {}\n", "config.yaml: server is given twice, again on line 2"),
        ("a: &x {b: *x}\n", "config.yaml"),
        ("server:\n  host: 2020-99-99\n", "config.yaml:2: is not YAML: a value is none of its kind"),
        ("server:\n  2020-99-99: a\n", "config.yaml:2: is not YAML: a value is none of its kind"),
        ("server:\n  http_port: !!int x\n", "config.yaml:2: is not YAML: a value is none of its kind"),
        ("server:\n  host: !!timestamp x\n", "config.yaml:2: is not YAML: a value is none of its kind"),
        (f"server:\n  http_port: {'9' * 5000}\n", "config.yaml:2: is not YAML: a value is none of its kind"),
        ("a: " + "[" * 5000, "config.yaml: is not YAML: "),
        ("server: {host: \x00}\n", "config.yaml: is not YAML: "),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_says_where(tmp_path: Path, text: str, problem: str) -> None:
    assert problems_of({}, a_file(tmp_path, text))[0].startswith(problem)


@pytest.mark.parametrize("text", ["", "# nothing\n", "server:\nlogging:\n", "---\n"])
def test_a_file_without_values_changes_nothing(tmp_path: Path, text: str) -> None:
    assert settings_from({}, a_file(tmp_path, text)) == Settings()


def test_a_file_that_is_missing_or_is_no_text_is_a_mistake(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in problems_of({}, tmp_path / "absent.yaml")[0]
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "it is not UTF-8" in problems_of({}, tmp_path / "binary.yaml")[0]


def test_load_settings_reads_the_environment_of_the_process() -> None:
    code = "from sluice.app.settings.validation import load_settings; print(load_settings(None).server.grpc_port)"
    env = {**os.environ, "SLUICE_SERVER_GRPC_PORT": "9190"}
    done = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True)
    assert done.stdout == "9190\n"


def test_limits_and_timings_carry_the_settings() -> None:
    env = {
        "SLUICE_PERFORMANCE_MAX_BATCHES": "11",
        "SLUICE_PERFORMANCE_MAX_BATCH_BYTES": "70000",
        "SLUICE_PERFORMANCE_MAX_BATCH_ROWS": "12",
        "SLUICE_PERFORMANCE_MAX_ROWS": "13",
        "SLUICE_PERFORMANCE_MAX_RESULT_BYTES": "21",
        "SLUICE_PERFORMANCE_PART_BYTES": "200000",
        "SLUICE_PERFORMANCE_PARALLEL_PARTS": "6",
        "SLUICE_PERFORMANCE_PREFETCHED_CHUNKS": "7",
        "SLUICE_CONCURRENCY_OPEN_TASKS_MAX": "14",
        "SLUICE_CONCURRENCY_RENDERS_MAX": "22",
        "SLUICE_CONCURRENCY_TENANT_COMPOSING_MAX": "15",
        "SLUICE_CONCURRENCY_LEASE_S": "3",
        "SLUICE_CONCURRENCY_HEARTBEAT_S": "0.5",
        "SLUICE_CONCURRENCY_CLOCK_SKEW_S": "0",
        "SLUICE_CONCURRENCY_TRIGGER_GRACE_S": "0.25",
        "SLUICE_CONCURRENCY_ATTEMPTS_MAX": "2",
        "SLUICE_CONCURRENCY_BACKOFF_S": "0.125",
        "SLUICE_CONCURRENCY_BACKOFF_MAX_S": "16",
        "SLUICE_STORAGE_IDLE_EXPIRY_S": "17",
        "SLUICE_STORAGE_OPEN_EXPIRY_S": "20",
        "SLUICE_STORAGE_RETENTION_S": "18",
        "SLUICE_STORAGE_LINK_LIFE_S": "9",
        "SLUICE_STORAGE_CLEANUP_DELAYS_S": "1,2,3",
        "SLUICE_STORAGE_TOMBSTONE_S": "19",
    }
    settings = settings_from(env, None)
    assert settings.limits() == Limits(
        batches_max=11,
        batch_bytes_max=70_000,
        batch_rows_max=12,
        rows_max=13,
        result_bytes_max=21,
        part_bytes_min=200_000,
        parallel_parts=6,
        prefetched_chunks=7,
        open_tasks_max=14,
        renders_max=22,
        tenant_composing_max=15,
    )
    assert settings.timings() == Timings(
        lease_s=3,
        skew_s=0,
        heartbeat_s=0.5,
        trigger_grace_s=0.25,
        attempts_max=2,
        backoff_s=0.125,
        backoff_max_s=16,
        idle_s=17,
        open_max_s=20,
        retention_s=18,
        link_s=9,
        gc_delays_s=(1, 2, 3),
        tombstone_s=19,
    )


def test_the_default_limits_are_those_of_the_domain_but_for_a_tenant_s_share_of_composers() -> None:
    assert Settings().limits() == Limits(tenant_composing_max=8)


@pytest.mark.parametrize(
    ("composers", "share", "expected"),
    [(1, "", 1), (2, "", 1), (3, "", 2), (4, "", 3), (5, "", 4), (10, "0", 0)],
)
def test_a_tenant_leaves_a_fifth_of_the_composers_to_others_and_one_at_least_where_there_are_two(
    composers: int, share: str, expected: int
) -> None:
    env = {"SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS": str(composers)}
    if share:
        env["SLUICE_CONCURRENCY_TENANT_COMPOSING_MAX"] = share
    assert settings_from(env, None).limits().tenant_composing_max == expected


def test_paths_are_where_the_settings_say() -> None:
    settings = settings_from({"SLUICE_STORAGE_DATA_DIRECTORY": "/data"}, None)
    assert settings.data_directory == Path("/data")
    assert settings.api_keys_path == Path("/data/keys.json")
    assert settings_from({"SLUICE_SECURITY_API_KEYS_FILE": "/k.json"}, None).api_keys_path == Path("/k.json")


def test_every_setting_has_a_unit_or_needs_none() -> None:
    """Numbers that are amounts of time or memory say so in their name."""
    numbers = {name for name, kind in setting_types().items() if "int" in str(kind) or "float" in str(kind)}
    counted = (
        "_s",
        "_bytes",
        "_max",
        "_port",
        "_tasks",
        "_size",
        "_rows",
        "_batches",
        "_parts",
        "_chunks",
        "retries",
        "_burst",
        "_share",
    )
    assert numbers
    assert [name for name in numbers if not name.endswith(counted)] == []


def test_reading_settings_without_a_file_does_not_load_the_parser() -> None:
    code = (
        "import sys; from sluice.app.settings.validation import settings_from; settings_from({}, None);"
        "heavy = {'yaml', 'pydantic', 'structlog', 'logging', 'difflib', 'asyncio'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["SLUICE_STORAGE_DATA_DIRECTORY", "SLUICE_OSS_ACCESS_KEY_SECRET"])
def test_a_value_that_is_no_text_is_a_mistake(name: str) -> None:
    """A composer gets its settings as text; a name that the system made up of other bytes has none."""
    assert f"{name}: expected text in UTF-8" in problems_of({name: "d\udcff"})
