"""The sampler makes each change once, leaves annotations and docstrings alone, and takes no chance for a notice."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.mutation.__main__ import PACKAGE, ROOT, Sampled, is_noticed
from tests.mutation.mutate import mutations

CODE = '''
"""Module 1."""
def f(a: "0 < 1", b: int = 2) -> "1 == 1":
    """Says 3."""
    if a < b and not g(a):
        log(a)
        return a + 1
    return "x" + a
'''


def test_each_change_is_made_once_and_alone() -> None:
    tree = ast.parse(CODE)
    before = ast.unparse(tree)
    found = list(mutations(tree))
    changed = [ast.unparse(one.make()) for one in found]
    assert [one.what for one in found] == [
        "2 for 3", "condition negated", "And for Or", "Lt for LtE", "call left out", "nothing returned",
        "Add for Sub", "1 for 2", "nothing returned",
    ]  # fmt: skip
    assert ast.unparse(tree) == before
    assert before not in changed
    assert len(set(changed)) == len(changed)
    assert all("0 < 1" in text and "Says 3." in text for text in changed)


@pytest.fixture
def shadow() -> Iterator[Path]:
    """A folder among the sources: pytest takes its settings from there."""
    (ROOT / "build").mkdir(exist_ok=True)
    with TemporaryDirectory(dir=ROOT / "build") as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.tools
@pytest.mark.parametrize(
    ("test", "notices"),
    [
        ("assert gzip_bound(0) == KIB", True),
        ("assert gzip_bound(0) != 7", False),
        ("assert gzip_bound(0) == 7", False),
        ("flag = Path(__file__).with_suffix('.flag')\n    assert flag.exists() or flag.touch()", False),
        ("assert gzip_bound(0) == KIB or os._exit(1)", True),
    ],
    ids=["of it", "passes", "fails without it too", "fails once", "ends without a name"],
)
def test_only_a_test_that_fails_with_the_change_again_and_not_without_it_notices_it(
    shadow: Path,
    test: str,
    notices: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    shutil.copytree(PACKAGE, shadow / "sluice", ignore=shutil.ignore_patterns("__pycache__"))
    path = PACKAGE / "tables/bytes/gzip.py"
    one = next(one for one in mutations(ast.parse(path.read_text(encoding="utf-8"))) if one.what == "nothing returned")
    imports = "import os\nfrom pathlib import Path\nfrom sluice.tables.bytes.gzip import KIB, gzip_bound\n"
    (shadow / "test_it.py").write_text(f"{imports}def test_it():\n    {test}\n")
    name = str((shadow / "test_it.py").relative_to(ROOT))
    assert is_noticed(Sampled(path, "", one), [name], shadow) is notices
    assert (shadow / "sluice/tables/bytes/gzip.py").read_bytes() == path.read_bytes()
