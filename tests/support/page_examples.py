"""The code that pages show, for tests that run it."""

from __future__ import annotations

import re
from pathlib import Path


def examples(page: Path, language: str) -> dict[str, str]:
    """The code blocks of this language that are marked as tested, by name."""
    text = page.read_text(encoding="utf-8")
    return dict(re.findall(rf"<!-- tested: ([\w-]+) -->\n```{language}\n(.*?)```", text, re.DOTALL))
