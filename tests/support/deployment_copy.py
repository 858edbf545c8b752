"""A copy of what s.yaml describes, to be broken on purpose."""

from __future__ import annotations

import shutil
from pathlib import Path

from infra.serverless_devs.description import ROOT

COPIED = ("infra/serverless_devs/layer", "infra/serverless_devs/prod.yaml", "functions", "s.yaml")


class DeploymentCopy:
    """s.yaml, prod.yaml and the functions in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        (folder / "build/layers").mkdir(parents=True)

    @property
    def s_yaml(self) -> Path:
        return self.folder / "s.yaml"

    @property
    def prod_yaml(self) -> Path:
        return self.folder / "infra/serverless_devs/prod.yaml"

    def break_s_yaml(self, before: str, after: str) -> None:
        """Replace the first ``before``, which must be there."""
        text = self.s_yaml.read_text()
        assert before in text, f"s.yaml has no {before!r} to break"
        self.s_yaml.write_text(text.replace(before, after, 1))
