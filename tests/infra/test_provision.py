"""``python -m infra.provision`` against a server that answers like ROS and checks every signature."""

from __future__ import annotations

import io
import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.emulators.oss import serving_oss
from infra.provision.command_line import main
from infra.provision.environment_file import MADE_ONCE, VARIABLES, write_variables
from infra.provision.template import build_template, build_watch_template
from tests.infra.ros_server import ACCESS_KEY_ID, ACCESS_KEY_SECRET, ACCOUNT_ID, Denied, Fault, RosStandIn, serving_ros
from tests.support.certificate import self_signed

KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": ACCESS_KEY_ID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": ACCESS_KEY_SECRET}


class Desk(NamedTuple):
    """An operator's terminal in front of the stand-in."""

    ros: RosStandIn
    url: str
    env_file: Path
    capture: pytest.CaptureFixture[str]

    def run(self, command: str, *more: str, keys: dict[str, str] | None = None) -> tuple[int, str, str]:
        place = ["--stage", "dev", "--region", "cn-hangzhou", "--ros-endpoint", self.url]
        place += ["--sts-endpoint", self.url, "--cms-endpoint", self.url]
        quick = ["--poll-s", "0", "--pause-s", "0"]
        arguments = [command, *place, *quick, *more]
        is_known = any(stack.name.endswith("-watch") and stack.status != "DELETE_COMPLETE" for stack in self.ros.stacks)
        if command in ("up", "preview") and not is_known:
            arguments += ["--alert-email", "on-call@example.com"]
        if command in ("up", "outputs"):
            arguments += ["--env-file", str(self.env_file)]
        code = main(arguments, KEYS if keys is None else keys)
        said = self.capture.readouterr()
        return code, said.out, said.err

    def made(self) -> None:
        code, _, error = self.run("up")
        assert code == 0, error
        self.ros.calls.clear()


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    with serving_ros() as (ros, url):
        yield Desk(ros, url, tmp_path / ".env", capsys)


def test_the_first_up_checks_creates_waits_and_writes_every_variable(desk: Desk) -> None:
    code, said, _ = desk.run("up")
    assert code == 0
    changing = [action for action in desk.ros.actions() if action in ("ValidateTemplate", "CreateStack", "UpdateStack")]
    assert changing == ["ValidateTemplate", "ValidateTemplate", "CreateStack", "CreateStack"]
    names = [(stack.name, stack.status) for stack in desk.ros.stacks]
    assert names == [("sluice-dev", "CREATE_COMPLETE"), ("sluice-dev-watch", "CREATE_COMPLETE")]
    assert [stack.template for stack in desk.ros.stacks] == [build_template(), build_watch_template()]
    assert all(set(stack.parameters) == set(stack.template["Parameters"]) for stack in desk.ros.stacks)
    assert all(f"CREATE_COMPLETE      {name}" in said for name in ("InputBucket", "Table", "AlarmEventsFailed"))
    lines = desk.env_file.read_text().splitlines()
    assert {line.partition("=")[0] for line in lines if not line.startswith("#")} == {
        *VARIABLES,
        "SLUICE_STORAGE_RETENTION_S",
        *MADE_ONCE,
    }
    assert "SLUICE_OSS_BUCKET=InputBucket-of-sluice-dev" in lines
    assert "SLUICE_STORAGE_RETENTION_S=604800" in lines


def test_a_second_up_with_nothing_new_changes_nothing(desk: Desk) -> None:
    desk.made()
    code, said, _ = desk.run("up")
    assert code == 0
    assert "nothing to change" in said
    assert "CreateStack" not in desk.ros.actions()


def test_an_up_with_another_choice_updates_the_stack(desk: Desk) -> None:
    desk.made()
    code, _, _ = desk.run("up", "--retention-days", "30")
    assert code == 0
    stack = desk.ros.stacks[0]
    assert stack.status == "UPDATE_COMPLETE"
    assert (stack.parameters["OutputDays"], stack.parameters["InputDays"]) == ("64", "34")
    assert "SLUICE_STORAGE_RETENTION_S=2592000" in desk.env_file.read_text()


def test_an_up_without_a_choice_keeps_what_was_chosen_before_and_preview_says_what_would_change(desk: Desk) -> None:
    chosen = ["--retention-days", "60", "--log-days", "365", "--tablestore-domain", "vpc.tablestore.aliyuncs.com"]
    assert desk.run("up", *chosen, "--action-policy", "ours", "--cluster-type", "SSD")[0] == 0
    before = [dict(stack.parameters) for stack in desk.ros.stacks]
    code, said, _ = desk.run("up")
    assert (code, [dict(stack.parameters) for stack in desk.ros.stacks]) == (0, before)
    assert "becomes" not in said
    assert "SLUICE_STORAGE_RETENTION_S=5184000" in desk.env_file.read_text()
    code, said, _ = desk.run("preview", "--log-days", "90", "--alert-email", "others@example.com")
    assert code == 0
    assert "  LogDays becomes 90, from 365\n  AlertEmail becomes others@example.com, from on-call@example.com\n" in said
    assert [dict(stack.parameters) for stack in desk.ros.stacks] == before


def test_files_are_kept_for_less_time_only_where_that_is_said(desk: Desk) -> None:
    assert desk.run("up", "--retention-days", "60")[0] == 0
    code, _, error = desk.run("up", "--retention-days", "7")
    assert code == 1
    assert "less than the 60 that files of this stage were promised: OSS would delete some" in error
    assert desk.ros.stacks[0].parameters["OutputDays"] == "124"
    assert desk.run("up", "--retention-days", "7", "--shorten-retention")[0] == 0
    assert desk.ros.stacks[0].parameters["OutputDays"] == "18"


def test_the_first_up_needs_who_gets_the_alarms(desk: Desk) -> None:
    place = ["--stage", "dev", "--region", "cn-hangzhou", "--ros-endpoint", desk.url, "--sts-endpoint", desk.url]
    assert main(["up", *place, "--pause-s", "0", "--env-file", str(desk.env_file)], KEYS) == 1
    assert "--alert-email says it, the first time" in desk.capture.readouterr().err
    assert not desk.ros.stacks


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        *(("CreateStack", kind) for kind in ("busy", "drop before", "drop after", "throttle")),
        *(
            (action, kind)
            for action in ("GetCallerIdentity", "ValidateTemplate", "ListStacks", "GetStack", "ListStackEvents")
            for kind in ("busy", "throttle")
        ),
    ],
)
def test_one_failed_call_of_any_kind_makes_exactly_one_stack(desk: Desk, action: str, kind: str) -> None:
    desk.ros.faults.append(Fault(action, kind))
    code, _, error = desk.run("up")
    assert code == 0, error
    assert not desk.ros.faults
    assert [(stack.name, stack.status) for stack in desk.ros.stacks] == [
        ("sluice-dev", "CREATE_COMPLETE"),
        ("sluice-dev-watch", "CREATE_COMPLETE"),
    ]


@pytest.mark.parametrize("kind", ["busy", "drop before", "drop after", "throttle"])
def test_one_failed_call_of_any_kind_updates_once(desk: Desk, kind: str) -> None:
    desk.made()
    desk.ros.faults.append(Fault("UpdateStack", kind))
    code, _, error = desk.run("up", "--log-days", "90")
    assert code == 0, error
    stack = desk.ros.stacks[0]
    assert (stack.status, stack.parameters["LogDays"]) == ("UPDATE_COMPLETE", "90")


@pytest.mark.parametrize("kind", ["busy", "drop before", "drop after", "throttle"])
@pytest.mark.parametrize("action", ["DeleteStack", "GetStack"])
def test_one_failed_call_of_any_kind_deletes_the_stack(desk: Desk, action: str, kind: str) -> None:
    desk.made()
    desk.ros.faults.append(Fault(action, kind))
    code, said, error = desk.run("down", "--yes")
    assert code == 0, error
    assert desk.ros.stacks[0].status == "DELETE_COMPLETE"
    assert "is gone" in said


def test_a_lost_answer_to_create_is_resolved_by_looking_not_by_creating_twice(desk: Desk) -> None:
    desk.ros.faults.append(Fault("CreateStack", "drop after"))
    code, said, _ = desk.run("up")
    assert code == 0
    assert [stack.name for stack in desk.ros.stacks] == ["sluice-dev", "sluice-dev-watch"]
    assert desk.ros.actions().count("CreateStack") == 2
    assert "the stack is there" in said


def test_a_service_that_stays_away_is_reported_and_nothing_is_written(desk: Desk) -> None:
    desk.ros.faults += [Fault("CreateStack", "busy")] * 3
    code, _, error = desk.run("up")
    assert code == 1
    assert "cannot reach ROS" in error
    assert not desk.env_file.exists()


def test_a_stack_that_fails_half_way_says_which_resource_and_why(desk: Desk) -> None:
    desk.ros.failing["Instance"] = "InstanceNameConflict: The name is taken."
    code, said, error = desk.run("up")
    assert code == 1
    assert "CREATE_ROLLBACK_COMPLETE" in error
    assert "Instance (ALIYUN::OTS::InstanceV2): InstanceNameConflict: The name is taken." in error
    assert "CREATE_FAILED        Instance InstanceNameConflict" in said
    assert not desk.env_file.exists()


def test_after_a_failed_creation_up_says_to_take_it_down_first(desk: Desk) -> None:
    desk.ros.failing["Instance"] = "taken"
    desk.run("up")
    desk.ros.failing.clear()
    code, _, error = desk.run("up")
    assert code == 1
    assert "`down`" in error
    assert desk.run("down", "--yes")[0] == 0
    assert desk.run("up")[0] == 0


def test_an_update_that_is_rolled_back_is_a_failure_with_its_reason(desk: Desk) -> None:
    desk.made()
    desk.ros.failing["Logstore"] = "LogStoreQuotaExceed"
    code, _, error = desk.run("up", "--log-days", "60")
    assert code == 1
    assert "ROLLBACK_COMPLETE" in error
    assert "LogStoreQuotaExceed" in error


def test_a_stack_whose_update_was_rolled_back_can_be_updated_again(desk: Desk) -> None:
    desk.made()
    desk.ros.failing["Logstore"] = "LogStoreQuotaExceed"
    assert desk.run("up", "--log-days", "60")[0] == 1
    assert desk.ros.stacks[0].parameters["LogDays"] == "30"
    desk.ros.failing.clear()
    code, _, error = desk.run("up", "--log-days", "60")
    assert code == 0, error
    assert (desk.ros.stacks[0].status, desk.ros.stacks[0].parameters["LogDays"]) == ("UPDATE_COMPLETE", "60")


def test_up_waits_for_what_an_earlier_run_began(desk: Desk) -> None:
    desk.made()
    desk.run("up", "--log-days", "60")
    stack = desk.ros.stacks[0]
    stack.status = "UPDATE_IN_PROGRESS"
    stack.steps = [{"LogicalResourceId": "LogIndex", "Status": "UPDATE_COMPLETE"}] * 100
    code, said, _ = desk.run("up", "--log-days", "90")
    assert code == 0
    assert "waiting for that" in said
    assert stack.parameters["LogDays"] == "90"


def test_a_refusal_is_told_with_its_code_and_not_repeated(desk: Desk) -> None:
    desk.ros.refuses["CreateStack"] = Denied(403, "NoPermission", "The user is not allowed to create a stack.")
    code, _, error = desk.run("up")
    assert code == 1
    assert "CreateStack was refused: NoPermission: The user is not allowed" in error
    assert desk.ros.actions().count("CreateStack") == 1


def test_a_wrong_secret_is_refused_by_the_signature(desk: Desk) -> None:
    code, _, error = desk.run("up", keys={**KEYS, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong"})
    assert code == 1
    assert "SignatureDoesNotMatch" in error


def test_a_token_is_sent_and_signed_with_a_temporary_key(desk: Desk) -> None:
    code, _, error = desk.run("validate", keys={**KEYS, "ALIBABA_CLOUD_SECURITY_TOKEN": "token+/=&"})
    assert code == 0, error
    assert desk.ros.calls[-1][1]["SecurityToken"] == "token+/=&"


def test_without_keys_in_the_environment_nothing_is_asked(desk: Desk) -> None:
    code, _, error = desk.run("up", keys={})
    assert code == 1
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in error
    assert not desk.ros.calls


def test_no_secret_is_printed_or_written(desk: Desk) -> None:
    code, said, error = desk.run("up")
    assert code == 0
    assert ACCESS_KEY_SECRET not in said + error + desk.env_file.read_text()


def test_preview_tells_of_every_resource_and_changes_nothing(desk: Desk) -> None:
    code, said, _ = desk.run("preview")
    assert code == 0
    assert "Add      ALIYUN::OSS::Bucket                InputBucket" in said
    resources = [*build_template()["Resources"], *build_watch_template()["Resources"]]
    assert [line.split()[-1] for line in said.splitlines()[:-1]] == resources
    assert said.splitlines()[-1] == "CloudMonitor has every metric that the alarms watch"
    assert not desk.ros.stacks
    desk.made()
    assert "Modify   ALIYUN::OTS::Table" in desk.run("preview")[1]


def test_an_alarm_that_is_refused_takes_nothing_of_the_stage_back(desk: Desk) -> None:
    desk.ros.metrics["acs_mns_new"].clear()
    code, _, error = desk.run("up")
    assert code == 1
    assert "stage dev is made and can be deployed, but not all of its alarms are" in error
    assert "AlarmEventsFailed (ALIYUN::CMS::ResourceMetricRule): ParameterInvalid: The metric is not found." in error
    stage, watch = desk.ros.stacks
    assert (stage.status, watch.status) == ("CREATE_COMPLETE", "CREATE_FAILED")
    assert "AlarmComposeErrors" in watch.resources
    assert "SLUICE_OSS_BUCKET=InputBucket-of-sluice-dev" in desk.env_file.read_text()


def test_alarms_refused_for_an_unconfirmed_address_are_made_by_the_next_up(desk: Desk) -> None:
    desk.ros.contacts_pending = True
    code, _, error = desk.run("up")
    assert code == 1
    assert "Was the mail to the alarms' address confirmed" in error
    desk.ros.contacts_pending = False
    code, _, error = desk.run("up")
    assert code == 0, error
    states = [(stack.name, stack.status) for stack in desk.ros.stacks]
    assert states[0] == ("sluice-dev", "CREATE_COMPLETE")
    assert states[-1] == ("sluice-dev-watch", "CREATE_COMPLETE")


def test_preview_says_which_metric_cloudmonitor_does_not_have(desk: Desk) -> None:
    desk.ros.metrics["acs_mns_new"].clear()
    desk.ros.metrics["acs_fc"]["FunctionHTTPStatus5xx"] = {"dimensions": ["userId"], "statistics": ["Sum"]}
    code, _, error = desk.run("preview")
    assert code == 1
    assert "CloudMonitor has no metric acs_mns_new ActiveMessages" in error
    assert "CloudMonitor's dimensions of acs_fc FunctionHTTPStatus5xx are userId, the alarm's functionName" in error
    assert "CloudMonitor's statistics of acs_fc FunctionHTTPStatus5xx are Sum, not Value" in error
    assert not desk.ros.stacks


def test_a_key_that_is_empty_may_be_missing_from_cloudmonitor_s_list(desk: Desk) -> None:
    line = desk.ros.metrics["acs_fc"]["FunctionHTTPStatus5xx"]
    desk.ros.metrics["acs_fc"]["FunctionHTTPStatus5xx"] = {**line, "dimensions": ["userId", "region", "functionName"]}
    code, _, error = desk.run("preview")
    assert code == 0, error


def test_an_alarm_has_something_to_watch_when_exactly_its_series_has_a_point(desk: Desk) -> None:
    code, _, error = desk.run("watched")
    assert code == 1
    assert "no alarm's series has a point" in error
    series = {"userId": ACCOUNT_ID, "region": "cn-hangzhou", "functionName": "sluice-dev-query"}
    desk.ros.points = {json.dumps(series, sort_keys=True)}
    assert desk.run("watched")[0] == 1
    desk.ros.points = {json.dumps(series | {"serviceName": ""}, sort_keys=True)}
    code, said, _ = desk.run("watched")
    assert code == 0
    assert "  has points  AlarmQueryErrors" in said
    assert "  no point    AlarmComposeErrors" in said


def test_outputs_tells_of_both_stacks(desk: Desk) -> None:
    desk.ros.contacts_pending = True
    desk.run("up")
    code, said, _ = desk.run("outputs")
    assert code == 0
    assert "sluice-dev is CREATE_COMPLETE" in said
    assert "sluice-dev-watch is CREATE_FAILED" in said
    assert "ContactNotActive" in said


def test_outputs_writes_the_file_again(desk: Desk) -> None:
    desk.made()
    desk.env_file.write_text("# mine\nOTHER=1\nSLUICE_OSS_BUCKET=old\n")
    assert desk.run("outputs")[0] == 0
    lines = desk.env_file.read_text().splitlines()
    assert lines[:2] == ["# mine", "OTHER=1"]
    assert lines.count("SLUICE_OSS_BUCKET=InputBucket-of-sluice-dev") == 1
    assert "SLUICE_OSS_BUCKET=old" not in lines


@pytest.mark.parametrize("name", MADE_ONCE)
def test_a_secret_that_signs_is_made_once_and_not_printed(desk: Desk, name: str) -> None:
    code, said, error = desk.run("up")
    assert code == 0, error
    (line,) = secret_lines(desk, name)
    assert re.fullmatch(rf"{name}=[0-9a-f]{{64}}", line)
    assert line.partition("=")[2] not in said + error
    assert desk.run("outputs")[0] == 0
    assert secret_lines(desk, name) == [line]
    desk.env_file.unlink()
    assert desk.run("outputs")[0] == 0
    assert secret_lines(desk, name) != [line]


def secret_lines(desk: Desk, name: str) -> list[str]:
    return [line for line in desk.env_file.read_text().splitlines() if name in line]


@pytest.fixture
def own_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A domain that serves the bucket of results by TLS, with a certificate of its name that this machine trusts."""
    made = self_signed(tmp_path)
    with serving_oss(folder=tmp_path / "bucket") as oss:
        oss.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        oss.tls.load_cert_chain(made.certificate, made.key)
        monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
        yield f"localhost:{oss.port}"


def test_a_domain_for_downloads_takes_the_bucket_s_own_place_and_stays(desk: Desk, own_domain: str) -> None:
    desk.env_file.write_text("SLUICE_OSS_DOWNLOAD_ENDPOINT=https://of-an-earlier-release\n")
    code, said, error = desk.run("up", "--download-domain", own_domain)
    assert code == 0, error
    assert f"https://{own_domain} has a certificate of its name" in said
    for _ in range(2):
        lines = desk.env_file.read_text().splitlines()
        assert lines.count(f"SLUICE_OSS_DOWNLOAD_DOMAIN={own_domain}") == 1
        assert lines.count("SLUICE_OSS_DOWNLOAD_ENDPOINT=") == 1
        assert desk.run("outputs")[0] == 0


def test_a_domain_whose_links_would_not_open_is_refused_before_anything_is_made(
    desk: Desk, own_domain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")  # its certificate is not trusted now, like one of another name
    code, _, error = desk.run("up", "--download-domain", own_domain)
    assert code == 1
    assert "has no certificate that browsers take" in error
    assert "host its certificate there" in error
    code, _, error = desk.run("up", "--download-domain", "localhost:1")
    assert code == 1
    assert "is not reached" in error
    assert not desk.ros.stacks


def test_the_other_network_s_address_of_tablestore_can_be_chosen(desk: Desk) -> None:
    assert desk.run("up", "--tablestore-domain", "vpc.tablestore.aliyuncs.com")[0] == 0
    assert desk.ros.stacks[0].parameters["TablestoreDomain"] == "vpc.tablestore.aliyuncs.com"


def test_outputs_knows_the_retention_that_the_stack_was_made_with(desk: Desk) -> None:
    assert desk.run("up", "--retention-days", "2")[0] == 0
    desk.env_file.unlink()
    assert desk.run("outputs")[0] == 0
    assert "SLUICE_STORAGE_RETENTION_S=172800" in desk.env_file.read_text()


def test_outputs_of_no_stack_is_an_error(desk: Desk) -> None:
    code, _, error = desk.run("outputs")
    assert code == 1
    assert "there is no stack sluice-dev" in error


def test_down_asks_and_does_nothing_without_the_stage_s_name(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.made()
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    code, said, _ = desk.run("down")
    assert code == 3
    assert "nothing was done" in said
    assert not desk.ros.calls
    monkeypatch.setattr("sys.stdin", io.StringIO("dev\n"))
    assert desk.run("down")[0] == 0
    assert desk.ros.stacks[0].status == "DELETE_COMPLETE"


def test_down_keeps_buckets_that_hold_objects_and_says_so(desk: Desk) -> None:
    desk.made()
    desk.ros.full_buckets = {"OutputBucket"}
    code, said, _ = desk.run("down", "--yes")
    assert code == 0
    assert desk.ros.stacks[0].status == "DELETE_COMPLETE"
    assert "kept: bucket OutputBucket-of-sluice-dev" in said
    assert "kept: bucket InputBucket" not in said


def test_forced_down_empties_the_buckets(desk: Desk) -> None:
    desk.made()
    desk.ros.full_buckets = {"InputBucket", "OutputBucket"}
    code, said, _ = desk.run("down", "--yes", "--force")
    assert code == 0
    assert "kept" not in said
    assert desk.ros.stacks[0].parameters["EmptyBuckets"] == "true"
    assert desk.ros.stacks[0].status == "DELETE_COMPLETE"


def test_forced_down_removes_a_stack_that_was_never_made(desk: Desk) -> None:
    desk.ros.failing["Instance"] = "taken"
    desk.run("up")
    code, _, error = desk.run("down", "--yes", "--force")
    assert code == 0, error
    assert desk.ros.stacks[0].status == "DELETE_COMPLETE"


def test_down_of_something_else_that_cannot_go_fails_and_says_what(desk: Desk) -> None:
    desk.made()
    desk.ros.full_buckets = {"LogProject"}
    code, _, error = desk.run("down", "--yes")
    assert code == 1
    assert "LogProject (ALIYUN::SLS::Project): BucketNotEmpty" in error


def test_down_of_nothing_is_done(desk: Desk) -> None:
    assert desk.run("down", "--yes")[0] == 0


def test_a_stack_can_be_made_again_after_it_was_deleted(desk: Desk) -> None:
    desk.made()
    assert desk.run("down", "--yes")[0] == 0
    desk.made()
    assert [stack.status for stack in desk.ros.stacks] == ["DELETE_COMPLETE"] * 2 + ["CREATE_COMPLETE"] * 2


@pytest.mark.parametrize("stage", ["Dev", "x", "play", "averylongname", "1st", "de-v"])
def test_a_stage_name_that_a_resource_could_not_bear_is_refused(desk: Desk, stage: str) -> None:
    code, _, error = desk.run("up", "--stage", stage)
    assert code == 1
    assert error.startswith("provision: ")
    assert "CreateStack" not in desk.ros.actions()


def test_the_file_of_variables_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\nexport B=2\n# B=comment\n")
    write_variables(path, {"B": "3", "C": "4"})
    assert path.read_text() == "A=1\n# B=comment\nB=3\nC=4\n"
    assert [item.name for item in tmp_path.iterdir()] == [".env"]


def test_the_template_is_sent_as_the_body_of_a_post(desk: Desk) -> None:
    assert desk.run("validate")[0] == 0
    sent = [json.loads(parameters["TemplateBody"]) for _, parameters in desk.ros.calls]
    assert sent == [build_template(), build_watch_template()]
