"""Generate the Python stubs from the wire contract; `--check` only says whether they are up to date."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "layers/sluice/proto"
STUBS = ROOT / "layers/sluice/python/sluice/proto"


def generate(target: Path) -> None:
    """Write the stubs into ``target``; imports are made absolute, since the stubs live in a package."""
    arguments = ["protoc", f"-I{PROTO}", f"--python_out={target}", f"--grpc_python_out={target}"]
    if protoc.main([*arguments, f"--pyi_out={target}", "export.proto"]) != 0:
        sys.exit("protoc failed")
    service = target / "export_pb2_grpc.py"
    service.write_text(service.read_text().replace("\nimport export_pb2", "\nfrom sluice.proto import export_pb2"))


def check() -> None:
    """Exit with 1 when the committed stubs are not what the contract generates."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = [path.name for path in Path(folder).iterdir() if path.read_bytes() != (STUBS / path.name).read_bytes()]
    if stale:
        sys.exit(f"stale stubs, run `make proto`: {', '.join(sorted(stale))}")


if __name__ == "__main__":
    check() if "--check" in sys.argv else generate(STUBS)
