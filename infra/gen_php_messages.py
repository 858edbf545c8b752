"""Generates the messages of `clients/php-export` from the contract, with `protoc` (Debian's protobuf-compiler).

    python infra/gen_php_messages.py           # write them
    python infra/gen_php_messages.py --check   # fail if they are not what the contract gives

grpc_tools, which generates the Python stubs, has no output for PHP.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROTO = ROOT / "layers/sluice/proto/export.proto"
TARGET = ROOT / "clients/php-export/src"
OWN = {Path("Export/Call.php"), Path("Export/ExportServiceClient.php"), Path("grpc.php")}
"""Written by hand."""


def generated() -> dict[Path, bytes]:
    """The files by their path below the target."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["protoc", f"--php_out={folder}", "-I", str(PROTO.parent), str(PROTO)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - no text of others in it
        found = {path.relative_to(folder): path.read_bytes() for path in sorted(Path(folder).rglob("*.php"))}
    return {path: _for_new_php(code) for path, code in found.items()}


def _for_new_php(code: bytes) -> bytes:
    """google/protobuf makes properties of optional fields as it goes, of which PHP 8.2 complains otherwise."""
    return re.sub(rb"^class ", rb"#[\\AllowDynamicProperties]\nclass ", code, flags=re.MULTILINE)


def present() -> dict[Path, bytes]:
    paths = {path.relative_to(TARGET): path for path in sorted(TARGET.rglob("*.php"))}
    return {name: path.read_bytes() for name, path in paths.items() if name not in OWN}


def main() -> int:
    wanted, found = generated(), present()
    if "--check" in sys.argv:
        odd = sorted(str(path) for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))
        print("\n".join(f"{path} is not what the contract gives" for path in odd), end="\n" if odd else "")
        return 1 if odd else 0
    for path in found.keys() - wanted.keys():
        (TARGET / path).unlink()
    for path, code in wanted.items():
        (TARGET / path).parent.mkdir(parents=True, exist_ok=True)
        (TARGET / path).write_bytes(code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
