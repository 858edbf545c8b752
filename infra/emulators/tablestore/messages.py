"""The service's messages: the published protocol buffers, taken from the SDK that ships them.

Only the messages come from the SDK; rows, signatures and checksums are read
and written by code of our own.
"""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, TypeAlias

Message: TypeAlias = Any
"""A protocol buffer; the SDK's classes have no types."""


def _load(name: str) -> Any:
    """Load one file of the SDK but not the SDK: that takes 30 MB and a second, and writes on standard error."""
    package = find_spec("tablestore")
    assert package is not None
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0], "protobuf", f"{name}.py")
    spec = spec_from_file_location(f"{__name__}.{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pb = _load("table_store_pb2")
filter_pb = _load("table_store_filter_pb2")
