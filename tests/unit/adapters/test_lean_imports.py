"""What an import costs when most of it is never used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.adapters.aliyun.lean_imports import lean_imports

LEAN_SDK = """
import json, sys
from importlib.util import _LazyModule
from sluice.adapters.aliyun.oss.bucket import oss2
asleep = sorted(name for name, module in sys.modules.items() if type(module) is _LazyModule)
print(json.dumps([asleep, len(sys.modules)]))
"""
PLAIN_SDK = "import json, sys, oss2; print(json.dumps([[], len(sys.modules)]))"


def run(script: str) -> list[object]:
    """Run in a process of its own, where a warning is an error; returns what it printed."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    assert isinstance(answer, list)
    return answer


@pytest.mark.slow
def test_the_sdk_of_oss_comes_without_its_encryption() -> None:
    asleep, count = run(LEAN_SDK)
    _, plain_count = run(PLAIN_SDK)
    assert isinstance(asleep, list)
    assert {"aliyunsdkcore.client", "Crypto.Cipher.AES", "Crypto.PublicKey.RSA", "crcmod"} <= set(asleep)
    assert isinstance(count, int)
    assert isinstance(plain_count, int)
    assert count < plain_count - 200, "modules that were not even looked for"


def test_what_was_left_out_is_there_when_it_is_used() -> None:
    script = """
import json
from sluice.adapters.aliyun.oss.bucket import oss2
ciphers = [oss2.utils.AESCTRCipher() for _ in range(2)]
for cipher in ciphers:
    cipher.initialize(bytes(32), bytes(16))
encrypted = ciphers[0].encrypt(b"a text")
crc = oss2.utils.Crc64()
crc(b"123456789")
print(json.dumps([encrypted.hex(), ciphers[1].decrypt(encrypted).decode(), crc.crc]))
"""
    encrypted, decrypted, crc = run(script)
    assert encrypted != b"a text".hex()
    assert decrypted == "a text"
    assert crc == 0x995DC9BBDF1939FA


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a module that notes in ``sys`` that it ran, and a package that is like it by its name only."""
    for name in ("heavy_package", "heavy_package_2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / "part.py").write_text(f"import sys; sys.ran.append({name!r}); VALUE = 7")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "ran", [], raising=False)
    return "heavy_package"


def test_a_module_runs_at_its_first_use(package: str) -> None:
    with lean_imports(package):
        import heavy_package_2.part  # type: ignore[import-not-found] # noqa: F401, PLC0415
        from heavy_package import part  # type: ignore[import-not-found] # noqa: PLC0415 - made by this test
    assert sys.ran == ["heavy_package_2"]  # type: ignore[attr-defined] # set by the fixture
    assert part.VALUE == 7
    assert sys.ran == ["heavy_package_2", "heavy_package"]  # type: ignore[attr-defined]


def test_what_is_missing_is_missing() -> None:
    with lean_imports("no_such_package"), pytest.raises(ModuleNotFoundError):
        import no_such_package  # type: ignore[import-not-found] # noqa: F401, PLC0415 - the point


def test_nothing_is_left_behind() -> None:
    before = list(sys.meta_path)
    with pytest.raises(RuntimeError), lean_imports("a"):
        raise RuntimeError
    assert sys.meta_path == before
