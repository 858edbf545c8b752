"""Importing a vendor's SDK without the parts of it that we never use: they cost memory and a slower cold start."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


class _LazyFinder:
    """Finds the modules of some packages, and leaves running them to the first use of one."""

    def __init__(self, packages: frozenset[str]) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not any(fullname == package or fullname.startswith(f"{package}.") for package in self._packages):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def lean_imports(*packages: str) -> Iterator[None]:
    """Imports in this block run a module of ``packages`` (or of a folder ``a.b``) only when something of it is used.

    Nothing is taken away: the first use of such a module runs it as usual.
    Name only packages that a thread does not first use beside others. What
    the imported modules warn of is the vendor's affair and not shown.
    """
    finder = _LazyFinder(frozenset(packages))
    sys.meta_path.insert(0, finder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.meta_path.remove(finder)
