"""A service may be started in any folder: nothing there is imported, whatever it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.adapters.workers.process import SOURCES, module_command
from sluice.client import Client
from sluice.demo.service_process import watched_service
from tests.support.running_service import serving

pytestmark = pytest.mark.slow
NAMES = ("base64", "heapq", "msgspec", "queue", "secrets", "select", "signal", "sluice", "subprocess")
"""Modules that a service or a composer imports, of the standard library and others."""
WAIT_S = 60


def folder_of_somebody(tmp_path: Path) -> tuple[Path, Path]:
    """Make a folder with modules of such names; returns it, and the file that they would write to."""
    folder, mark = tmp_path / "project", tmp_path / "mark"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write('{name} ')\nraise ImportError('ours')\n")
    return folder, mark


def test_a_service_that_is_started_among_modules_of_such_names_writes_its_files(tmp_path: Path) -> None:
    folder, mark = folder_of_somebody(tmp_path)
    with serving(tmp_path / "data", cwd=folder, anew=True) as service:
        with Client(service.url) as client:
            export = client.open(format="csv", filename="t", columns=[{"name": "id"}])
            export.put(1, [["a"]])
            export.close()
            assert export.wait(WAIT_S).state == "completed"
        assert service.events("WorkerDied") == []
    assert not mark.exists()


def test_the_service_of_a_demonstration_imports_nothing_from_there_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, mark = folder_of_somebody(tmp_path)
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(folder)
    with watched_service(tmp_path / "demo") as service:
        assert service.http_port
    assert not mark.exists()


def test_a_source_tree_that_is_not_installed_starts_composers_from_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SOURCES)
    assert "-P" not in module_command("sluice.app.compose_worker")
    monkeypatch.chdir(SOURCES.parent)
    assert "-P" in module_command("sluice.app.compose_worker")
