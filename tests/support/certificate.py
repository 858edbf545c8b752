"""A certificate of this machine, signed by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class SelfSigned(NamedTuple):
    certificate: Path
    key: Path


def self_signed(folder: Path, name: str = "localhost") -> SelfSigned:
    """Make it with ``openssl``; valid for ``name`` and 127.0.0.1."""
    made = SelfSigned(folder / "certificate.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1", "-days", "2"]
    subprocess.run([*command, "-keyout", made.key, "-out", made.certificate], check=True, capture_output=True)
    return made
