"""The template holds together, and agrees with the code and with s.yaml wherever both name the same thing."""

from __future__ import annotations

import copy
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.emulators.ram_policies import CloudCall, allows, filled_in, matches, role_documents
from infra.provision.environment_file import MADE_ONCE, VARIABLES
from infra.provision.metrics import published_metrics
from infra.provision.stage import TABLESTORE_DOMAINS, Stage, StageError, check_stage_name
from infra.provision.template import BODY_BYTES_MAX, build_template, build_watch_template, template_body
from infra.provision.template_checks import Property, Shape, check_template, read_types
from infra.serverless_devs.protocol_checks import HTTP_PORT
from sluice.adapters.aliyun.tablestore.schema import MAX_VERSIONS, TABLES, TIME_TO_LIVE_S
from sluice.app.settings.validation import settings_from
from sluice.domain.keys import INPUT_PREFIX, OUTPUT_PREFIX
from sluice.domain.limits import DAY_S, Timings
from tests.infra.cloud_recorder import TEMPLATE_VALUES, CloudRecorder
from tests.infra.role_days import DAYS

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
FULL_TYPES = os.environ.get("SLUICE_ROS_TYPES", "")
"""A file with the property tables of many types, to compare ours with; no part of the repository."""
VALUES = {**TEMPLATE_VALUES, "InputDays": 10, "OutputDays": 10, "TablestoreDomain": TABLESTORE_DOMAINS[0]}


def resources_of(resource_type: str) -> dict[str, Json]:
    return {name: item for name, item in all_resources().items() if item["Type"] == resource_type}


def all_resources() -> dict[str, Json]:
    """Of both stacks, which share no name."""
    stage: dict[str, Json] = build_template()["Resources"]
    watch: dict[str, Json] = build_watch_template()["Resources"]
    assert not stage.keys() & watch.keys()
    return stage | watch


@pytest.mark.parametrize("build", [build_template, build_watch_template])
def test_a_template_has_no_mistake(build: Callable[[], Json]) -> None:
    assert check_template(build()) == []


@pytest.mark.parametrize("build", [build_template, build_watch_template])
def test_a_template_is_short_enough_to_send(build: Callable[[], Json]) -> None:
    assert 10_000 < len(template_body(build()).encode()) < BODY_BYTES_MAX / 4


def test_nothing_that_watches_can_take_back_what_is_watched() -> None:
    watching = {"ALIYUN::CMS::ResourceMetricRule", "ALIYUN::CMS::Contact", "ALIYUN::CMS::ContactGroup",
                "ALIYUN::SLS::Alert", "ALIYUN::SLS::Dashboard"}  # fmt: skip
    assert {item["Type"] for item in build_watch_template()["Resources"].values()} == watching
    assert not watching & {item["Type"] for item in build_template()["Resources"].values()}


WRONG_ALARMS: dict[str, Callable[[Json], object]] = {
    "acs_mns_new publishes no metric NumberOfMessagesVisible": lambda rule: rule.update(
        Namespace="acs_mns_new", MetricName="NumberOfMessagesVisible"
    ),
    "FunctionFunctionErrors has the dimensions functionName, region, serviceName, userId, not functionName, region": (
        lambda rule: rule["Resources"][0].pop("serviceName")
    ),
    "has the statistics Value, not Sum": lambda rule: rule["Escalations"]["Critical"].update(Statistics="Sum"),
}


@pytest.mark.parametrize("complaint", WRONG_ALARMS)
def test_an_alarm_over_what_cloudmonitor_does_not_publish_is_a_mistake(complaint: str) -> None:
    template = build_watch_template()
    WRONG_ALARMS[complaint](properties(template, "AlarmComposeErrors"))
    found = check_template(template)
    assert any(complaint in mistake for mistake in found), found


def test_every_published_metric_has_its_source_and_an_alarm() -> None:
    table = yaml.safe_load((ROOT / "infra/ros/published_metrics.yaml").read_text(encoding="utf-8"))
    assert all(line["source"] for lines in table.values() for line in lines.values())
    rules = resources_of("ALIYUN::CMS::ResourceMetricRule").values()
    watched = {(item["Properties"]["Namespace"], item["Properties"]["MetricName"]) for item in rules}
    assert watched == published_metrics().keys()


def properties(template: Json, name: str) -> Json:
    found: Json = template["Resources"][name]["Properties"]
    return found


BREAKAGES: dict[str, Callable[[Json], object]] = {
    "unknown property Colour": lambda t: properties(t, "InputBucket").update(Colour="red"),
    "BucketName is missing": lambda t: properties(t, "InputBucket").pop("BucketName"),
    "Prefix is missing": lambda t: properties(t, "InputBucket")["LifecycleConfiguration"]["Rule"][0].pop("Prefix"),
    "is not of type boolean": lambda t: properties(t, "InputBucket").update(BlockPublicAccess="true"),
    "is not of type integer": lambda t: properties(t, "Table").update(MaxVersions="1"),
    "True is not of type integer": lambda t: properties(t, "Table").update(MaxVersions=True),
    "is not one of private": lambda t: properties(t, "InputBucket").update(AccessControl="secret"),
    "is no list": lambda t: properties(t, "Table").update(PrimaryKey={"Name": "pk", "Type": "STRING"}),
    "has no properties": lambda t: properties(t, "Table").update(PrimaryKey=["pk"]),
    "Ref to Nothing": lambda t: properties(t, "Logstore").update(TTL={"Ref": "Nothing"}),
    "Ref to Nobody": lambda t: properties(t, "Instance").update(InstanceDescription={"Fn::Sub": "a ${Nobody}"}),
    "attribute of Nothing": lambda t: properties(t, "Table").update(InstanceName={"Fn::GetAtt": ["Nothing", "Name"]}),
    "has no attribute Colour": lambda t: properties(t, "Table").update(
        InstanceName={"Fn::GetAtt": ["Instance", "Colour"]}
    ),
    "Ref gives string, not integer": lambda t: properties(t, "Logstore").update(TTL={"Ref": "Stage"}),
    "Ref gives integer, not string": lambda t: properties(t, "Instance").update(InstanceDescription={"Ref": "LogDays"}),
    "may give what is not one of": lambda t: t["Parameters"]["ClusterType"].pop("AllowedValues"),
    "Fn::Join is not written": lambda t: properties(t, "LogProject").update(Name={"Fn::Join": ["-", ["a"]]}),
    "unknown type ALIYUN::OSS::Pail": lambda t: t["Resources"]["InputBucket"].update(Type="ALIYUN::OSS::Pail"),
    "unknown key Propertys": lambda t: t["Resources"]["Table"].update(Propertys={}),
    "depends on Nothing": lambda t: t["Resources"]["Table"].update(DependsOn="Nothing"),
    "Parameters.Idle: nobody uses it": lambda t: t["Parameters"].update(Idle={"Type": "String"}),
    "Outputs.Stage.Value: Ref to Nothing": lambda t: t["Outputs"].update(Stage={"Value": {"Ref": "Nothing"}}),
    "these wait for each other: Instance": lambda t: t["Resources"]["Instance"].update(DependsOn="Table"),
}


@pytest.mark.parametrize("complaint", BREAKAGES)
def test_a_broken_template_is_found_out(complaint: str) -> None:
    template = copy.deepcopy(build_template())
    BREAKAGES[complaint](template)
    found = check_template(template)
    assert any(complaint in mistake for mistake in found), found


@pytest.mark.skipif(not FULL_TYPES, reason="SLUICE_ROS_TYPES names no file of property tables")
def test_our_tables_of_properties_are_those_of_the_vendor() -> None:
    full = json.loads(Path(FULL_TYPES).read_text(encoding="utf-8"))
    used = {resource["Type"] for resource in build_template()["Resources"].values()}
    ours = read_types()
    assert used <= ours.keys()
    for name in sorted(used & full.keys()):
        assert differences(ours[name].shape, full[name], name) == []


def differences(ours: Shape, full: Json, place: str) -> list[str]:
    if ours.properties.keys() != full.keys():
        return [f"{place}: {sorted(ours.properties.keys() ^ full.keys())}"]
    found: list[str] = []
    for name, table in full.items():
        known: Property = ours.properties[name]
        if (known.required, known.is_list) != (table["required"], table["list"]):
            found.append(f"{place}.{name}: required or list")
        if table["props"] and known.shape.word == "properties":
            found += differences(known.shape, table["props"], f"{place}.{name}")
    return found


def test_the_tables_are_those_of_the_adapter() -> None:
    made = {item["Properties"]["TableName"]: item["Properties"] for item in resources_of("ALIYUN::OTS::Table").values()}
    expected = {
        table.name_by("export_task"): {
            "key": [(column.name, column.kind) for column in table.key],
            "columns": [(column.name, column.kind) for column in table.indexed],
            "indexes": [(index.name_in("export_task"), "Global", list(index.key), []) for index in table.indexes],
            "versions": MAX_VERSIONS,
            "life": TIME_TO_LIVE_S,
        }
        for table in TABLES
    }
    assert expected == {
        name: {
            "key": [(column["Name"], column["Type"]) for column in table["PrimaryKey"]],
            "columns": [(column["Name"], column["Type"]) for column in table.get("Columns", [])],
            "indexes": [
                (index["IndexName"], index["IndexType"], index["PrimaryKeys"], index["Columns"])
                for index in table.get("SecondaryIndices", [])
            ],
            "versions": table["MaxVersions"],
            "life": table["TimeToLive"],
        }
        for name, table in made.items()
    }


@pytest.mark.parametrize(("bucket", "prefix"), [("InputBucket", INPUT_PREFIX), ("OutputBucket", OUTPUT_PREFIX)])
def test_each_bucket_forgets_what_is_below_its_prefix(bucket: str, prefix: str) -> None:
    [rule] = properties(build_template(), bucket)["LifecycleConfiguration"]["Rule"]
    assert (rule["Prefix"], rule["Status"]) == (prefix, "Enabled")
    assert rule["AbortMultipartUpload"] == {"Days": 3}
    assert set(rule["Expiration"]) == {"Days"}


@pytest.mark.parametrize("retention_days", [1, 7, 30])
def test_a_lifecycle_rule_never_comes_before_the_sweeper(retention_days: int) -> None:
    timings = Timings()
    parameters = Stage("dev", "a@b.c", retention_days=retention_days).parameters(account_id="1")
    garbage_days = math.ceil((timings.link_s + max(timings.gc_delays_s)) / DAY_S)
    attempts_s = timings.outage_s + timings.attempts_max * (timings.attempt_max_s + timings.backoff_max_s)
    attempts_days = math.ceil(attempts_s / DAY_S)
    open_days = math.ceil(max(timings.idle_s, timings.open_max_s) / DAY_S)
    assert int(parameters["OutputDays"]) >= 2 * retention_days + garbage_days  # shared in its last hour
    assert int(parameters["InputDays"]) >= retention_days + open_days + attempts_days
    assert int(parameters["InputDays"]) >= 7


@pytest.mark.parametrize("bucket", ["InputBucket", "OutputBucket"])
def test_buckets_are_closed_encrypted_and_not_versioned(bucket: str) -> None:
    made = properties(build_template(), bucket)
    assert (made["AccessControl"], made["BlockPublicAccess"]) == ("private", True)
    assert made["ServerSideEncryptionConfiguration"]["SSEAlgorithm"] == "AES256"
    assert made["DeletionForce"] == {"Ref": "EmptyBuckets"}
    assert build_template()["Parameters"]["EmptyBuckets"]["Default"] is False
    assert "VersioningConfiguration" not in made


@pytest.mark.parametrize("bucket", ["InputBucket", "OutputBucket"])
def test_nobody_may_use_a_bucket_without_tls(bucket: str) -> None:
    made = filled_in(properties(build_template(), bucket), AnyValue(VALUES))
    [statement] = made["Policy"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", ["*"], ["oss:*"])
    assert statement["Condition"] == {"Bool": {"acs:SecureTransport": ["false"]}}
    name = f"acs:oss:*:{VALUES['ALIYUN::TenantId']}:{made['BucketName']}"
    for resource in (name, f"{name}/in/v1/x"):
        assert any(matches(pattern, resource) for pattern in statement["Resource"])


def test_two_stages_share_no_name() -> None:
    def names(stage: str) -> set[str]:
        template = filled_in(all_resources(), AnyValue(VALUES | {"Stage": stage, "InstanceName": stage}))
        named = ("BucketName", "InstanceName", "RoleName", "PolicyName", "QueueName", "DashboardName", "RuleId")
        made = {
            item["Properties"].get(key, "")
            for item in template.values()
            for key in named
            if "Table" not in item["Type"]
        }
        projects = {item["Properties"]["Name"] for item in template.values() if item["Type"] == "ALIYUN::SLS::Project"}
        return made - {""} | projects

    assert len(names("dev")) > 15
    assert not names("dev") & names("prod")


class AnyValue(dict[str, Any]):
    """Fills in whatever a test has no opinion about."""

    def __missing__(self, key: str) -> str:
        return key


def test_names_are_short_enough() -> None:
    stage = "abcdefgh"
    made = filled_in(build_template()["Resources"], AnyValue(VALUES | {"Stage": stage}))
    for bucket in ("InputBucket", "OutputBucket"):
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", made[bucket]["Properties"]["BucketName"])
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]", made["LogProject"]["Properties"]["Name"])
    for number in range(200):
        instance = Stage(stage, "a@b.c").parameters(account_id=str(10**15 + number))["InstanceName"]
        assert re.fullmatch(build_template()["Parameters"]["InstanceName"]["AllowedPattern"], instance)
        assert len(instance) <= 16
        assert not re.search("ali|ay|ots|taobao|admin", instance)
    for item in resources_of("ALIYUN::SLS::Alert").values():
        assert 1 <= len(filled_in(item["Properties"]["Detail"]["DisplayName"], {"Stage": stage})) <= 64


def test_the_pattern_of_the_stage_is_the_one_that_is_checked_here() -> None:
    pattern = build_template()["Parameters"]["Stage"]["AllowedPattern"]
    for name in ("dev", "p1", "abcdefgh", "Dev", "x", "1a", "abcdefghi", "a-b"):
        try:
            check_stage_name(name)
        except StageError:
            assert not re.fullmatch(pattern, name)
        else:
            assert re.fullmatch(pattern, name)


# s.yaml, which deploys the functions.


def deployment() -> str:
    return (ROOT / "s.yaml").read_text(encoding="utf-8")


def functions() -> dict[str, Json]:
    """The functions of s.yaml by their key, with the stage filled in as far as their names go."""
    text = deployment().replace("${vars.stage}", TEMPLATE_VALUES["Stage"])
    resources = yaml.safe_load(text)["resources"]
    return {name: item["props"] for name, item in resources.items() if "functionName" in item["props"]}


def test_every_variable_that_s_yaml_cannot_do_without_is_written() -> None:
    wanted = set(re.findall(r"\$\{env\('(\w+)'\)\}", deployment()))
    assert wanted
    assert wanted <= VARIABLES.keys() | {"SLUICE_STORAGE_RETENTION_S", *MADE_ONCE}


def test_every_setting_that_is_written_reaches_the_functions() -> None:
    read = set(re.findall(r"\$\{env\('(\w+)'", deployment()))
    settings = {name for name in (*VARIABLES, "SLUICE_STORAGE_RETENTION_S") if name.startswith("SLUICE_")}
    assert settings <= read


def test_the_settings_that_are_written_are_settings() -> None:
    outputs = filled_in(build_template()["Outputs"], AnyValue(VALUES))
    values = {}
    for variable, output in VARIABLES.items():
        if variable.startswith("SLUICE_"):
            value = outputs[output]["Value"]
            values[variable] = value if isinstance(value, str) else f"a{output}"
    settings = settings_from(values | {"SLUICE_STORAGE_BACKEND": "oss", "SLUICE_STORAGE_RETENTION_S": "86400"}, None)
    assert settings.oss.endpoint == "https://oss-cn-hangzhou-internal.aliyuncs.com"
    assert settings.oss.download_domain == f"sluice-dev-out-{VALUES['ALIYUN::TenantId']}.oss-cn-hangzhou.aliyuncs.com"
    assert settings.tablestore.endpoint == f"https://{VALUES['InstanceName']}.cn-hangzhou.ots-internal.aliyuncs.com"
    assert settings.storage.retention_s == 86400


def test_each_function_s_role_allows_what_the_function_does() -> None:
    does = {
        "relay_http": ("RelayRole", "QueryRole", "GrpcRole"),
        "relay_grpc": ("GrpcRole",),
        "query": ("QueryRole",),
        "compose": ("ComposeRole",),
        "extract": ("ExtractRole",),
        "sweep": ("SweepRole",),
    }
    deployed = functions()
    assert deployed.keys() == does.keys()
    for name, days in does.items():
        [variable] = re.findall(r"env\('(\w+)'\)", deployed[name]["role"])
        role = VARIABLES[variable].removesuffix("Arn")
        documents = role_documents(build_template(), TEMPLATE_VALUES)[role]
        for day in days:
            refused = [call for call in DAYS[day](CloudRecorder()) if not allows(documents, call)]
            assert not refused, name


def test_only_the_sweeper_s_role_lists_or_deletes() -> None:
    for name, function in functions().items():
        [variable] = re.findall(r"env\('(\w+)'\)", function["role"])
        documents = role_documents(build_template(), TEMPLATE_VALUES)[VARIABLES[variable].removesuffix("Arn")]
        bucket = f"acs:oss:*:{VALUES['ALIYUN::TenantId']}:sluice-dev-out-{VALUES['ALIYUN::TenantId']}"
        lists = allows(documents, CloudCall("oss:ListObjects", bucket, "out/v1/"))
        deletes = allows(documents, CloudCall("oss:DeleteObject", f"{bucket}/out/v1/x/export.csv"))
        assert (lists, deletes) == (name == "sweep",) * 2


def test_the_composer_that_roles_may_run_is_the_one_that_is_deployed() -> None:
    composer = functions()["compose"]["functionName"]
    for role in ("TriggerRole", "SweepRole"):
        documents = role_documents(build_template(), TEMPLATE_VALUES)[role]
        resource = f"acs:fc:{VALUES['ALIYUN::Region']}:{VALUES['ALIYUN::TenantId']}:functions/{composer}"
        assert allows(documents, CloudCall("fc:InvokeFunction", resource))


def test_alarms_watch_functions_that_are_deployed_and_leave_none_out() -> None:
    deployed = {function["functionName"] for function in functions().values()}
    watched: dict[str, set[str]] = {}
    for item in resources_of("ALIYUN::CMS::ResourceMetricRule").values():
        made = filled_in(item["Properties"], AnyValue(VALUES))
        [dimensions] = made["Resources"]
        if made["Namespace"] == "acs_fc":
            watched.setdefault(made["MetricName"], set()).add(dimensions["functionName"])
    assert watched["FunctionFunctionErrors"] == deployed
    # Those whose failures are answers over HTTP; gRPC's errors are HTTP 200, and only our own lines tell of them.
    speak_http = {one["functionName"] for one in functions().values()
                  if one.get("customRuntimeConfig", {}).get("port") == HTTP_PORT}  # fmt: skip
    assert watched["FunctionHTTPStatus5xx"] == speak_http
    assert all(names <= deployed for names in watched.values())


def test_failed_events_go_to_the_queue_that_is_made_and_watched() -> None:
    [variable] = set(re.findall(r"destination: \$\{env\('(\w+)'\)\}", deployment()))
    arn = filled_in(build_template()["Outputs"][VARIABLES[variable]]["Value"], VALUES)
    queue = filled_in(properties(build_template(), "FailureQueue")["QueueName"], VALUES)
    assert arn.endswith(f":/queues/{queue}/messages")
    alarm = filled_in(properties(build_watch_template(), "AlarmEventsFailed"), AnyValue(VALUES))
    assert alarm["Resources"][0]["queue"] == queue
