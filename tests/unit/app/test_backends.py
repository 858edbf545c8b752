"""The choice of ``storage.backend`` is made in one place, and every choice is complete."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from sluice.app.backend import Backend
from sluice.app.backends import BACKENDS, backend_of, open_ports
from sluice.app.settings import schema
from sluice.app.settings.validation import Settings, setting_types, settings_from
from sluice.domain.keys import ManifestRef, TaskRef, TenantId, manifest_key, task_id_from_bytes
from tests.support.recorded_invoker import RecordedInvoker
from tests.support.recorded_journal import RecordedJournal

NAMES = get_args(setting_types()["storage.backend"])
PACKAGE = Path(schema.__file__).parents[2]
VALUES = {"endpoint": "https://store.example.com", "url": "s3://bucket/prefix"}
"""What a setting that a backend needs may be; any other may be a name."""


def settings_of(name: str, folder: Path) -> Settings:
    needed = {setting: VALUES.get(setting.partition(".")[2], "acme") for setting in schema.BACKENDS[name].needs}
    needed |= {"oss.result_bucket": "acme-out"} if name == "oss" else {}
    flags = {"storage.backend": name, "storage.data_directory": str(folder), **needed}
    return settings_from({"SLUICE_OSS_ACCESS_KEY_ID": "id", "SLUICE_OSS_ACCESS_KEY_SECRET": "secret"}, None, flags)


def test_a_name_is_known_to_the_settings_and_to_the_registry_alike() -> None:
    assert set(NAMES) == set(schema.BACKENDS) == set(BACKENDS)


def test_what_a_backend_needs_and_presets_are_settings() -> None:
    named = {name for backend in schema.BACKENDS.values() for name in (*backend.needs, *backend.defaults)}
    assert named <= set(setting_types())


@pytest.mark.parametrize("name", NAMES)
def test_every_backend_opens_without_asking_its_services(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settings = settings_of(name, tmp_path)
    backend: Backend = backend_of(settings)
    links = backend.open_links(settings, "http://exports.example.com")
    assert backend.place_of_keys(settings)
    assert backend.tidy(settings) == 0
    backend.open_keys(settings)
    with open_ports(settings, RecordedJournal(), links=links) as ports:
        link = ports.links.mint_link("out/v1/k", filename="a.csv", expires_at=ports.clock.now() + 60)
    assert link.startswith("http://exports.example.com/v1/files/") == (links is not None)
    tasks_file = backend.tasks_file(settings)
    assert tasks_file is None or tasks_file.is_file()


def test_only_the_chosen_backends_library_is_loaded() -> None:
    code = (
        "import sys; import sluice.app.backends;"
        "print(sorted({'obstore', 'oss2', 'tablestore', 'concurrent.futures'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_manifest_that_is_put_starts_a_composer_of_this_process(tmp_path: Path) -> None:
    manifest = ManifestRef(TaskRef(TenantId("shop"), task_id_from_bytes(bytes(17))), "0" * 32)
    invoker = RecordedInvoker()
    with open_ports(settings_of("directory", tmp_path), RecordedJournal(), invoker=invoker) as ports:
        ports.objects.put(manifest_key(*manifest), b"")
        assert ports.invoker is invoker
    assert [ring.manifest for ring in invoker.rings] == [manifest]


def test_nothing_else_compares_the_name_of_a_backend() -> None:
    readers = [
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if "storage.backend" in file.read_text(encoding="utf-8").replace("``storage.backend``", "")
    ]
    assert sorted(readers) == [
        "app/aliyun.py",  # a function has no other
        "app/backends.py",
        "app/settings/validation.py",
        "cli/table_commands.py",  # the sentence that refuses
    ]
