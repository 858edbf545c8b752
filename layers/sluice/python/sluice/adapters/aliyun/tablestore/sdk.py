"""The vendor's SDK, imported without the parts that we never call, and without its remarks on standard error."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

CLIENT_LOGGER = "tablestore-client"
_OPTIONAL = ("tablestore.native", "tablestore.ots_sdk")
"""The codec that is compiled for one Python only; the SDK does without it."""
_UNUSED = (
    "aiohttp",
    "tablestore.flatbuffer.dataprotocol.SQLResponseColumns",
    "tablestore.flatbuffer.flat_buffer_decoder",
    "tablestore.flatbuffer.timeseries_flat_buffer_encoder",
)
"""Only the asynchronous client, SQL and time series use these (and through them numpy); the SDK always imports them."""


class _Hollow(ModuleType):
    """A module that has every name, none of any use."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


@contextmanager
def _lean() -> Iterator[None]:
    """Leave out what is not loaded yet, while the block runs. Later imports of it by others find the real thing.

    It saves 30 MB and a quarter of a second at each cold start.
    """
    hollow: dict[str, ModuleType | None] = dict.fromkeys(_OPTIONAL) | {name: _Hollow(name) for name in _UNUSED}
    hollow = {name: module for name, module in hollow.items() if name not in sys.modules}
    sys.modules.update(hollow)  # type: ignore[arg-type]  # None is how Python marks what cannot be imported
    try:
        yield
    finally:
        for name in hollow:
            del sys.modules[name]


# Without a level of its own, its logger writes every request out in full.
logging.getLogger("tablestore").setLevel(logging.CRITICAL)
logging.getLogger(CLIENT_LOGGER).setLevel(logging.CRITICAL)
with warnings.catch_warnings(), _lean():  # only in here is it lean
    warnings.simplefilter("ignore")
    import tablestore

sdk: Any = tablestore
