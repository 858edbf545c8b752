"""The first-export page, done as it is written: its commands against the functions of `s.yaml` over the stand-ins."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from infra.emulators.function_compute.interpreter import source_tree
from infra.local.cloud import deploy_variables, local_cloud

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "infra/runbooks/from-an-empty-account-to-the-first-export.md"
COMMANDS = ROOT / "infra/stage_commands.sh"
SLUICE, S = ".venv/bin/sluice", "infra/serverless_devs/node_modules/.bin/s"


def block(title: str) -> str:
    found = re.search(rf"<!-- tested: {title} -->\n```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, title
    return found[1]


def checkout(folder: Path, programs: Mapping[str, str], variables: Mapping[str, str]) -> Path:
    """A repository's root, as far as the commands look at it."""
    for name, script in programs.items():
        program = folder / name
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    shutil.copy(COMMANDS, folder / "infra")
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    return folder


def run(folder: Path, script: str, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f". infra/stage_commands.sh\n{script}"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_following_the_page_makes_a_key_and_the_workbook(tmp_path: Path) -> None:
    with local_cloud(tmp_path / "cloud", interpreter=source_tree()) as cloud:
        variables = deploy_variables(cloud.oss, cloud.ots) | {"DEPLOY_TABLESTORE_PUBLIC_ENDPOINT": cloud.ots.endpoint}
        programs = {SLUICE: f'exec {sys.executable} -m sluice "$@"', S: "exit 1"}
        root = checkout(tmp_path / "root", programs, variables)
        operator = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": cloud.ots.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": cloud.ots.access_key_secret,
            "PYTHONPATH": str(ROOT / "layers/sluice/python"),
            "URL": cloud.host.doors["api_domain"].url,
        }
        said = run(root, block("an API key") + block("the first export"), operator)
    assert [line.split()[-1] for line in said.splitlines()[:5]] == ["fits"] * 5
    rows = CalamineWorkbook.from_path(str(root / "orders.xlsx")).get_sheet_by_index(0).to_python()
    assert rows == [["id", "customer"], [1.0, "Ann"], [2.0, "王伟"]]


def test_each_command_gets_the_addresses_that_are_meant_for_it_and_no_older_ones(tmp_path: Path) -> None:
    variables = {
        "DEPLOY_ACCOUNT_ID": "1234567890123456",
        "DEPLOY_REGION": "cn-hangzhou",
        "DEPLOY_TABLESTORE_PUBLIC_ENDPOINT": "https://public",
        "SLUICE_TABLESTORE_ENDPOINT": "https://internal",
        "SLUICE_OSS_ENDPOINT": "https://oss-cn-hangzhou-internal.aliyuncs.com",
    }
    told = 'echo "$1 $AccountID $AccessKeyID $AccessKeySecret $SLUICE_TABLESTORE_ENDPOINT $SLUICE_OSS_ENDPOINT"'
    root = checkout(tmp_path, {SLUICE: told, S: told}, variables)
    operator = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "id",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret",
        "SLUICE_TABLESTORE_ENDPOINT": "https://of-yesterday",
        "AccountID": "",
        "AccessKeyID": "",
        "AccessKeySecret": "",
    }
    said = run(root, "sluice one; s two; echo three $SLUICE_TABLESTORE_ENDPOINT", operator)
    assert said.splitlines() == [
        "one    https://public https://oss-cn-hangzhou.aliyuncs.com",
        "two 1234567890123456 id secret https://internal https://oss-cn-hangzhou-internal.aliyuncs.com",
        "three https://of-yesterday",
    ]
