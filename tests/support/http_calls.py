"""HTTP calls from tests, each over a connection of its own."""

from __future__ import annotations

import httpx

# `httpx.get` and the like read the certificates of all authorities for every call: 27 ms of CPU, more than the call.
CALLER = httpx.Client(trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0))
"""Calls as ``httpx.get`` does, with the certificates read once."""
