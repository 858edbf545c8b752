"""The sampler of changes makes each once, and leaves annotations and docstrings alone."""

from __future__ import annotations

import ast

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
