"""What the pages for operators name exists, and what they reckon adds up."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import yaml

from infra.provision.command_line import main
from infra.provision.template import build_template, build_watch_template
from infra.serverless_devs.description import EXAMPLE_ENV, PROD_YAML, S_YAML, read_description, read_variables
from sluice.app.settings.validation import setting_types
from sluice.domain.keys import ManifestRef
from sluice.ports.object_store import ObjectStore
from sluice.ports.task_store import TaskStore
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from tests.infra.cloud_recorder import CloudRecorder
from tests.infra.role_days import PARAMS, TENANT
from tests.support.watched_stores import CountedCalls

ROOT = Path(__file__).parents[2]
FIRST_EXPORT = ROOT / "infra/runbooks/from-an-empty-account-to-the-first-export.md"
FOLDERS = ("", "runbooks", "systemd", "docker", "provision", "ros")
PAGES = sorted(page for folder in FOLDERS for page in (ROOT / "infra" / folder).glob("*.md"))
MONEY_STEP = 0.0001


def code_of(page: Path) -> str:
    """What stands in code, which is what people copy."""
    text = page.read_text(encoding="utf-8")
    return "\n".join([*re.findall(r"```\w*\n(.*?)```", text, re.DOTALL), *re.findall(r"`([^`\n]+)`", text)])


def text_of_all() -> str:
    return "\n".join(code_of(page) for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_one_on_call_is_sent_to_the_file_where_a_setting_is_read() -> None:
    page = (ROOT / "infra/runbooks/on-call.md").read_text(encoding="utf-8")
    named = set(re.findall(r"SLUICE_[A-Z][A-Z_]+[A-Z]", page))
    from_env = {name for name in named if f"env('{name}'" in S_YAML.read_text(encoding="utf-8")}
    said = re.search(
        r"A setting named below is a line of `environmentVariables` in `s.yaml`.*; (.*) is a line of `.env`", page
    )
    assert said is not None
    assert from_env == set(re.findall(r"`(\w+)`", said[1])) < named
    assert "provision up` puts" not in page  # what was changed by hand it does not see


def test_every_variable_of_ours_is_a_setting() -> None:
    names = set(re.findall(r"SLUICE_[A-Z][A-Z_]+[A-Z]", text_of_all()))
    assert len(names) > 5
    settings = {"SLUICE_" + name.upper().replace(".", "_") for name in setting_types()}
    assert names - settings - {"SLUICE_ROS_TYPES"} == set()


def test_every_command_of_ours_exists() -> None:
    commands = re.findall(r"\bsluice (task|keys|tables) ([a-z-]+)", text_of_all())
    assert {("task", "show"), ("keys", "add"), ("tables", "check")} <= set(commands)
    for group in ("task", "keys", "tables"):
        told = subprocess.run(
            [sys.executable, "-m", "sluice", group, "--help"], capture_output=True, text=True, check=True
        ).stdout
        assert {name for word, name in commands if word == group} <= set(
            re.findall(r"^  ([a-z-]+) ", told, re.MULTILINE)
        )


def test_every_option_of_provision_exists(capsys: pytest.CaptureFixture[str]) -> None:
    told = ""
    for command in ("check", "validate", "preview", "up", "outputs", "watched", "down"):
        with pytest.raises(SystemExit):
            main([command, "--help"], {})
        told += capsys.readouterr().out
    used = re.findall(r"infra\.provision[^\n]*", text_of_all())
    assert used
    for line in used:
        for option in re.findall(r"--[a-z-]+", line):
            assert f"{option} " in told or f"{option}]" in told, option
    for command in re.findall(r"infra\.provision ([a-z]+)", text_of_all()):
        assert command in {"check", "validate", "preview", "up", "outputs", "watched", "down"}


def needs_of_a_deployment() -> set[str]:
    """What the deployer's user is needed for, by the names of the table of rights."""
    templates = (build_template(), build_watch_template())
    types = {resource["Type"] for template in templates for resource in template["Resources"].values()}
    needs = {"ALIYUN::ROS", *(one.rpartition("::")[0] for one in types)}
    for file in (S_YAML, PROD_YAML):
        description = read_description(file, read_variables(EXAMPLE_ENV))
        resources = [*description.functions(), *description.domains()]
        needs |= {resource.component for resource in resources}
        needs |= {"certConfig.certId" for one in resources if "certId" in one.props.get("certConfig", {})}
    return needs


def test_the_runbook_gives_every_right_that_a_deployment_needs_and_no_other() -> None:
    rights = yaml.safe_load((ROOT / "infra/ros/deployer_rights.yaml").read_text(encoding="utf-8"))
    assert rights.keys() == needs_of_a_deployment()
    step = FIRST_EXPORT.read_text(encoding="utf-8").partition("## 2.")[0]
    assert set(re.findall(r"Aliyun\w+FullAccess|[a-z-]+:Describe\w+", step)) == set(rights.values())


def cost_tables() -> list[list[list[str]]]:
    text = (ROOT / "infra" / "runbooks" / "costs.md").read_text(encoding="utf-8")
    tables = [block for block in re.split(r"\n\n", text) if block.startswith("| item")]
    return [
        [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]] for table in tables
    ]


def test_the_costs_add_up() -> None:
    assert len(cost_tables()) == 2
    for *items, total in cost_tables():
        for name, count, _, price, cost in items:
            assert math.isclose(float(count) * float(price), float(cost), abs_tol=MONEY_STEP / 2 + 1e-9), name
        assert total[0] == "sum"
        assert math.isclose(sum(float(item[4]) for item in items), float(total[4]), abs_tol=1e-9)


def test_an_export_makes_as_many_calls_as_the_costs_are_reckoned_with() -> None:
    batches = 7
    world = CloudRecorder()
    store, tasks = CountedCalls(world.store), CountedCalls(world.memory_tasks)
    ports = replace(world.ports(), objects=cast(ObjectStore, store), tasks=cast(TaskStore, tasks))
    ref = open_export(ports, TENANT, OpenRequest(PARAMS)).task.ref
    params_cache = ParamsCache(ports)
    for sequence in range(1, batches + 1):
        put_batch(ports, params_cache, ref, sequence=sequence, batch=Batch.of_rows([(str(sequence),)], 1))
    task = close_export(ports, ref, CloseRequest())
    assert compose_export(ports, ManifestRef(ref, task.man_sha)) is Outcome.COMPLETED
    parts = store.calls.count("put_part")
    puts = [name for name in store.calls if name in ("put", "begin_upload", "put_part", "complete_upload")]
    gets = [name for name in store.calls if name in ("get", "head", "read_range")]
    assert len(puts) == batches + 1 + parts + 2 + 1
    assert len(gets) == batches + 1 + 1 + 1
    writes = [name for name in tasks.calls if name in ("create", "claim", "update", "log_attempt")]
    assert batches < len(writes) <= batches + 12
    reads = [name for name in tasks.calls if name in ("read", "read_claims", "read_claim", "count")]
    assert len(reads) <= 10
    assert set(store.calls) | set(tasks.calls) <= {*puts, *gets, *writes, *reads}
