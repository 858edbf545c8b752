"""The layers that are deployed: the same bytes at every build, fit for the runtimes, and enough for every function."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import HeaderParser
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

import pytest

from infra.build_layers import LIMITS, LOCK, MIB, build_sluice
from infra.layer_build.contents import deps_files
from infra.layer_build.distributions import open_distribution
from infra.layer_build.downloads import SDIST, fetch
from infra.serverless_devs.description import EXAMPLE_ENV, S_YAML, Resource, read_description, read_variables
from tests.support.built_layers import CACHE, BuiltLayers, built_layers, loaded_from

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the first run of a machine fetches the packages
GLIBC_MINOR = 31
"""Debian 11, on which both runtimes stand, has glibc 2.31."""
FUNCTIONS = {one.name: one for one in read_description(S_YAML, read_variables(EXAMPLE_ENV)).functions()}
FACES = {"relay_grpc": "sluice.app.functions.grpc_function", "relay_http": "sluice.app.functions.http_function"}

_LOADED = """
import importlib, json, sys, types
for name in sys.argv[1:]:
    importlib.import_module(name)
def origin(module):  # looking at a module that is loaded late must not load it
    spec = types.ModuleType.__getattribute__(module, "__spec__")
    return str(spec and spec.has_location and spec.origin)
loaded = {name: module for name, module in sys.modules.items() if isinstance(module, types.ModuleType)}
print(json.dumps({name: origin(module) for name, module in loaded.items()}))
"""
_EVERYTHING_OF_OURS = """
import importlib, pkgutil, sluice
for module in pkgutil.walk_packages(sluice.__path__, "sluice."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as missing:
        print(module.name, "wants", missing.name)
print("done")
"""
_NOT_DEPLOYED: dict[str, tuple[str, ...]] = {
    "pyarrow": ("sluice.tables.writers.parquet.", "sluice.tables.readers.parquet"),
    "obstore": ("sluice.adapters.s3.",),
    "sqlglot": ("sluice.",),
}
"""Libraries of extras, and the modules that need them. Asking for Parquet there is refused, see
`tests/unit/tables/test_parquet_writer.py`; the functions keep their objects in OSS whatever the settings say."""


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> BuiltLayers:
    return built_layers(tmp_path_factory)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(path) as archive:
        yield archive


def module_of(function: Resource) -> str:
    """The module that starts the function."""
    if "handler" in function.props:
        return str(function.props["handler"]).partition(".")[0]
    return PurePosixPath(function.props["customRuntimeConfig"]["command"][1]).stem


def test_building_again_gives_the_same_bytes(layers: BuiltLayers, tmp_path: Path) -> None:
    """Of what is fetched, the same files: that the same files give the same zip is tested where zips are written."""
    build_sluice(tmp_path, python=layers.python)
    assert digest(tmp_path / "sluice.zip") == digest(layers.sluice)
    again = deps_files(fetch(LOCK, CACHE), layers.python)
    with opened(layers.deps) as archive:
        assert sorted(again) == archive.namelist()
        assert [name for name in archive.namelist() if again[name] != archive.read(name)] == []


def test_the_layers_are_small_enough_for_every_region(layers: BuiltLayers) -> None:
    for path, zipped_mib_max in ((layers.deps, 40), (layers.sluice, 3)):
        assert path.stat().st_size < min(LIMITS.zipped_bytes_max, zipped_mib_max * MIB)
    assert sum(file.stat().st_size for file in layers.opt.rglob("*") if file.is_file()) < LIMITS.unzipped_bytes_max


def test_every_file_of_the_lock_fits_the_runtimes(layers: BuiltLayers) -> None:
    del layers  # building has fetched the files
    for path in fetch(LOCK, CACHE).values():
        if path.name.endswith(SDIST):
            continue  # pure Python, or building would have refused it
        *_, pythons, abis, platforms = path.name.removesuffix(".whl").split("-")
        assert set(pythons.split(".")) & {"cp312", "py3"} or (abis == "abi3" and int(pythons.removeprefix("cp3")) <= 12)
        assert abis in {"cp312", "abi3", "none"}, path.name
        if platforms != "any":
            assert fits(platforms), path.name


def fits(platforms: str) -> bool:
    """Whether one of the wheel's platforms is Debian 11 on x86-64, or older."""
    minors = [int(minor) for minor in re.findall(r"manylinux_2_(\d+)_x86_64", platforms)]
    return any(minor <= GLIBC_MINOR for minor in minors) or "manylinux2014_x86_64" in platforms


def test_every_library_is_of_the_deployed_python(layers: BuiltLayers) -> None:
    with opened(layers.deps) as archive:
        libraries = [name for name in archive.namelist() if ".so" in PurePosixPath(name).name]
        assert libraries
        for name in libraries:
            assert not re.search(r"cpython-(?!312-)|darwin|musl|aarch64", name), name
            with archive.open(name) as library:
                head = library.read(20)
            assert (head[:5], head[18:20]) == (b"\x7fELF\x02", b"\x3e\x00"), f"{name} is not for x86-64"


def test_every_module_comes_with_the_bytecode_of_the_deployed_python(layers: BuiltLayers) -> None:
    magic = layers.run("import importlib.util, sys; sys.stdout.write(importlib.util.MAGIC_NUMBER.hex())").stdout
    for path in (layers.deps, layers.sluice):
        with opened(path) as archive:
            names = set(archive.namelist())
            modules = [PurePosixPath(name) for name in names if name.endswith(".py")]
            for module in modules:
                code = f"{module.parent}/__pycache__/{module.stem}.cpython-312.pyc"
                assert code in names
                assert archive.read(code)[:8].hex() == magic + "01000000", f"{code} would be compiled again"


def test_the_packages_keep_their_licences(layers: BuiltLayers) -> None:
    with opened(layers.deps) as archive:
        names = archive.namelist()
        described = [name for name in names if name.endswith(".dist-info/METADATA")]
        stated = {str(HeaderParser().parsestr(archive.read(name).decode())["Name"]) for name in described}
    assert len(stated) == len(fetch(LOCK, CACHE))
    assert len([name for name in names if re.search(r"\.dist-info/.*(LICEN[CS]E|COPYING)", name, re.IGNORECASE)]) > 30


@pytest.mark.parametrize("name", ["oss2", "aliyun-fc2"])
def test_what_is_taken_from_a_source_archive_is_what_installing_it_gives(layers: BuiltLayers, name: str) -> None:
    del layers
    taken = {member.path: member.content for member in open_distribution(fetch(LOCK, CACHE)[name])}
    installed = {str(file): file.locate() for file in distribution(name).files or () if file.suffix != ".pyc"}
    modules = {path: content for path, content in taken.items() if ".dist-info/" not in path}
    assert modules.keys() == {path for path in installed if ".dist-info/" not in path}
    assert [path for path, content in modules.items() if Path(str(installed[path])).read_bytes() != content] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_functions_entry_imports_with_the_layers_and_nothing_else(layers: BuiltLayers, name: str) -> None:
    function = FUNCTIONS[name]
    folder = Path(function.props["code"])
    wanted = [module_of(function), *([FACES[name]] if name in FACES else [])]
    loaded = loaded_from(layers.run(_LOADED, *wanted, folder=folder))
    ours = [file for file in loaded.values() if file.startswith(str(layers.opt))]
    base = str(layers.python.resolve().parents[1])
    strange = {
        module: file
        for module, file in loaded.items()
        if file.startswith("/")
        and (not file.startswith((str(layers.opt), str(folder), base)) or "site-packages" in file)
    }
    assert strange == {}
    assert len(ours) > 100


def test_everything_of_ours_in_the_layer_finds_what_it_needs(layers: BuiltLayers) -> None:
    done = layers.run(_EVERYTHING_OF_OURS)
    *wanted, last = done.stdout.splitlines()
    assert (last, done.returncode) == ("done", 0), done.stderr
    assert {line.split()[-1] for line in wanted} == _NOT_DEPLOYED.keys()
    assert [line for line in wanted if not line.startswith(_NOT_DEPLOYED[line.split()[-1]])] == []


def test_what_is_left_out_is_not_there(layers: BuiltLayers) -> None:
    missing = [
        "numpy",
        "aiohttp",
        "flatbuffers",
        "typer",
        "rich",
        "tablestore.ots_sdk",
        "Crypto.SelfTest",
    ]
    code = "import importlib.util, json, sys\nfound = []\nfor name in sys.argv[1:]:\n"
    code += "    try: found += [name] if importlib.util.find_spec(name) else []\n    except ImportError: pass\n"
    done = layers.run(code + "print(json.dumps(found))", *missing)
    assert json.loads(done.stdout) == [], done.stderr
