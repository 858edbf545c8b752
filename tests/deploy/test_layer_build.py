"""How a layer is put together: what is taken, what is refused, and that the bytes depend on nothing else."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from infra.build_layers import LOCK, LayerLimits, LayerTooLarge, build_sluice, definitions_folder, main
from infra.layer_build.archive import write_archive
from infra.layer_build.bytecode import CompileError, compiled
from infra.layer_build.contents import definition_files, deps_files, is_needed
from infra.layer_build.distributions import open_distribution
from infra.layer_build.downloads import DownloadError, fetch, name_of, normal_name, read_lock
from tests.support.built_layers import deployed_python

ROOT_LOCK = LOCK.parents[2] / "requirements.lock"
LEFT_OUT = LOCK.with_name("left-out.txt")


def wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in files.items():
            archive.writestr(place, text)
    return path


def sdist(folder: Path, name: str, files: dict[str, str]) -> Path:
    path = folder / f"{name}-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for place, text in files.items():
            entry = tarfile.TarInfo(f"{name}-1.0/{place}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def lock_of(folder: Path, *files: Path) -> Path:
    lines = [
        f"{name_of(file)}==1.0 \\\n    --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files
    ]
    lock = folder / "requirements.lock"
    lock.write_text("# a comment\n" + "\n".join(lines) + "\n")
    return lock


def cached(lock: Path, cache: Path, *files: Path) -> Path:
    folder = cache / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def versions(lock: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE):
        found.setdefault(normal_name(name), []).append(version)
    return found


def test_the_same_files_give_the_same_bytes_whenever_and_in_whatever_order(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"python/b.py": b"b = 1\n", "python/a.so": b"\x7fELF"})
    os.utime(tmp_path / "a.zip", (0, 0))
    time.sleep(0.01)
    write_archive(tmp_path / "b.zip", {"python/a.so": b"\x7fELF", "python/b.py": b"b = 1\n"})
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == ["python/a.so", "python/b.py"]
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert [oct(entry.external_attr >> 16) for entry in entries] == ["0o100755", "0o100644"]


def test_a_wheel_gives_what_it_installs_without_its_scripts(tmp_path: Path) -> None:
    path = wheel(
        tmp_path,
        "some",
        {"some/__init__.py": "", "some-1.0.data/scripts/some": "x", "some-1.0.data/purelib/more.py": "y"},
    )
    assert {member.path for member in open_distribution(path)} == {"some/__init__.py", "more.py"}


def test_a_source_archive_gives_its_packages_and_runs_nothing(tmp_path: Path) -> None:
    path = sdist(
        tmp_path,
        "some",
        {
            "setup.py": "raise SystemExit",
            "PKG-INFO": "Name: some",
            "LICENSE": "do as you like",
            "some.egg-info/top_level.txt": "some\n",
            "some/__init__.py": "x = 1",
            "examples/some.py": "",
        },
    )
    assert {member.path: member.content for member in open_distribution(path)} == {
        "some/__init__.py": b"x = 1",
        "some-1.0.dist-info/METADATA": b"Name: some",
        "some-1.0.dist-info/licenses/LICENSE": b"do as you like",
    }


def test_a_source_archive_with_code_to_compile_is_refused(tmp_path: Path) -> None:
    path = sdist(tmp_path, "some", {"PKG-INFO": "", "some.egg-info/top_level.txt": "some", "some/fast.c": ""})
    with pytest.raises(ValueError, match="the lock must name its wheel"):
        list(open_distribution(path))


@pytest.mark.parametrize(
    ("distribution", "path", "needed"),
    [
        ("some", "some/__init__.py", True),
        ("some", "some/testing.py", True),
        ("some", "some/latest/a.py", True),
        ("some", "some/data/zones.json", True),
        ("some", "some/tests/test_a.py", False),
        ("some", "some/a.pyi", False),
        ("some", "some/py.typed", False),
        ("some", "some/__pycache__/a.cpython-312.pyc", False),
        ("some", "some-1.0.dist-info/METADATA", True),
        ("some", "some-1.0.dist-info/entry_points.txt", True),
        ("some", "some-1.0.dist-info/licenses/LICENSE.txt", True),
        ("some", "some-1.0.dist-info/LICENSE", True),
        ("some", "some-1.0.dist-info/RECORD", False),
        ("pycryptodome", "Crypto/SelfTest/__init__.py", False),
        ("pycryptodome", "Crypto/Cipher/AES.py", True),
        ("tablestore", "tablestore/ots_sdk/ots_sdk.so", False),
        ("other", "tablestore/ots_sdk/ots_sdk.so", True),
    ],
)
def test_only_what_functions_read_is_needed(distribution: str, path: str, needed: object) -> None:
    assert is_needed(distribution, path) is needed


def test_what_the_cache_holds_is_used_and_nobody_is_asked(tmp_path: Path) -> None:
    file = wheel(tmp_path, "some", {"some/__init__.py": "x = 1\n"})
    lock = lock_of(tmp_path, file)
    folder = cached(lock, tmp_path / "cache", file)
    assert fetch(lock, tmp_path / "cache") == {"some": folder / file.name}


@pytest.mark.parametrize("kept", [0, 2])
def test_a_cache_that_does_not_hold_what_the_lock_names_is_refused(tmp_path: Path, kept: int) -> None:
    files = [wheel(tmp_path, name, {f"{name}/__init__.py": ""}) for name in ("some", "other")]
    lock = lock_of(tmp_path, files[0])
    cached(lock, tmp_path / "cache", *files[:kept])
    with pytest.raises(DownloadError, match="does not hold what the lock names"):
        fetch(lock, tmp_path / "cache")


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    file = wheel(tmp_path, "some", {"some/__init__.py": "x = 1\n"})
    lock = lock_of(tmp_path, file)
    folder = cached(lock, tmp_path / "cache", file)
    with (folder / file.name).open("ab") as changed:
        changed.write(b" ")
    with pytest.raises(DownloadError, match="is not the file that the lock names"):
        fetch(lock, tmp_path / "cache")


@pytest.mark.parametrize("line", ["some>=1.0 --hash=sha256:" + "0" * 64, "some==1.0"])
def test_a_lock_without_version_or_hash_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "some.lock").write_text(f"{line}\n")
    with pytest.raises(ValueError, match="no version or no hash"):
        read_lock(tmp_path / "some.lock")


def test_two_packages_may_bring_the_same_file_only_with_the_same_content(tmp_path: Path) -> None:
    python = deployed_python()
    one, other = (wheel(tmp_path, name, {"shared/a.py": "a = 1\n"}) for name in ("one", "other"))
    assert "python/shared/a.py" in deps_files({"one": one, "other": other}, python)
    other = wheel(tmp_path, "other", {"shared/a.py": "a = 2\n"})
    with pytest.raises(ValueError, match=r"two packages bring a shared/a\.py"):
        deps_files({"one": one, "other": other}, python)


def test_bytecode_is_used_whatever_the_times_of_the_files_say() -> None:
    (path, code), *more = compiled({"python/a/b.py": b"x = 1\n"}, deployed_python(), shown_folder="/opt").items()
    assert (path, more) == ("python/a/__pycache__/b.cpython-312.pyc", [])
    assert code[4:8] == b"\x01\x00\x00\x00"  # a hash that nobody checks, PEP 552
    assert b"/opt/python/a/b.py" in code


def test_a_module_that_does_not_compile_is_an_error() -> None:
    with pytest.raises(CompileError, match="SyntaxError"):
        compiled({"python/a.py": b"print 'for another Python'\n"}, deployed_python(), shown_folder="/opt")


def test_our_layer_leaves_the_command_line_at_home(tmp_path: Path) -> None:
    build_sluice(tmp_path, python=deployed_python())
    with zipfile.ZipFile(tmp_path / "sluice.zip") as archive:
        names = archive.namelist()
    assert [name for name in names if not re.fullmatch(r"python/sluice/.*\.pyc?", name)] == ["definitions/README.md"]
    assert [name for name in names if re.match(r"python/sluice/(cli|demo|__main__)", name)] == []
    sources = {name for name in names if name.endswith(".py")}
    assert "python/sluice/app/functions/compose.py" in sources
    assert len(names) == 2 * len(sources) + 1


CONNECTION = "name: crm\ntype: postgresql\nhost: db.internal\ndatabase: shop\nuser: exporter\n"
DATASET = "dataset: orders\nsource: {connection: crm, table: public.orders, key: [id]}\ncolumns: [{name: id}]\n"


def definitions_in(folder: Path, connection: str = CONNECTION, dataset: str = DATASET) -> Path:
    for name in ("connections", "datasets"):
        (folder / name).mkdir(parents=True)
    (folder / "connections/crm.yaml").write_text(connection)
    (folder / "datasets/orders.yaml").write_text(dataset)
    return folder


def test_our_layer_brings_the_definitions_of_datasets_and_what_lies_beside_them(tmp_path: Path) -> None:
    folder = definitions_in(tmp_path / "tables")
    (folder / "ca.pem").write_text("a certificate")
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("mine")
    (folder / "datasets/.orders.yaml.swp").write_text("mine")
    found = {name: content for name, content in definition_files(folder).items() if not name.endswith("README.md")}
    assert found == {
        "definitions/ca.pem": b"a certificate",
        "definitions/connections/crm.yaml": CONNECTION.encode(),
        "definitions/datasets/orders.yaml": DATASET.encode(),
    }
    assert definitions_folder({"DEPLOY_DEFINITIONS": str(folder)}) == folder


@pytest.mark.parametrize(
    ("connection", "dataset", "said"),
    [
        ("name: crm\ntype: sqlite\npath: shop.db\n", DATASET.replace("public.", ""), "no function reaches"),
        (CONNECTION + "slots: 2\n", DATASET, "DEPLOY_READERS_MAX"),
        (CONNECTION + "password: secret\n", DATASET, "stands in the file itself"),
        (CONNECTION, DATASET.replace("crm", "cmr"), "there is no connection 'cmr'"),
    ],
)
def test_definitions_that_no_function_could_use_end_the_build(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    connection: str,
    dataset: str,
    said: str,
) -> None:
    deployed_python()
    monkeypatch.setenv("DEPLOY_DEFINITIONS", str(definitions_in(tmp_path / "tables", connection, dataset)))
    assert main(["sluice", "--output", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "sluice.zip").exists()


def test_a_folder_of_definitions_that_is_not_there_ends_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed_python()
    monkeypatch.setenv("DEPLOY_DEFINITIONS", str(tmp_path / "tables"))
    assert main(["sluice", "--output", str(tmp_path)]) == 1
    assert "DEPLOY_DEFINITIONS: there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("limits", [LayerLimits(zipped_bytes_max=1000), LayerLimits(unzipped_bytes_max=1000)])
def test_a_layer_that_is_too_large_is_not_left_behind(tmp_path: Path, limits: LayerLimits) -> None:
    with pytest.raises(LayerTooLarge, match=r"sluice\.zip is too large"):
        build_sluice(tmp_path, python=deployed_python(), limits=limits)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_it_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deployed_python()
    assert main(["sluice", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    digest = hashlib.sha256((tmp_path / "sluice.zip").read_bytes()).hexdigest()
    assert re.fullmatch(rf"sluice\.zip: [\d.]+ MiB zipped, [\d.]+ MiB unzipped, \d+ files, sha256 {digest}\n", said)


def test_what_is_deployed_is_what_is_tested() -> None:
    tested, deployed = versions(ROOT_LOCK), versions(LOCK)
    assert {name for name, (version,) in deployed.items() if version not in tested.get(name, [])} == set()


def test_nothing_that_is_left_out_is_locked() -> None:
    left_out = {
        normal_name(line.partition(";")[0].strip()) for line in LEFT_OUT.read_text().splitlines() if line[:1] != "#"
    }
    assert left_out & read_lock(LOCK).keys() == set()
    assert {"numpy", "aiohttp", "rich", "typer", "grpcio-tools"} & read_lock(LOCK).keys() == set()


def test_the_lock_names_no_host() -> None:
    assert [line for line in LOCK.read_text().splitlines() if "://" in line or "index-url http" in line] == []
