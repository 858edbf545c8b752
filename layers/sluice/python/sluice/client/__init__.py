"""The Python client of the HTTP API. It imports nothing but the standard library and what is shipped along."""

from sluice.client.client import Client
from sluice.client.connections import Timeouts
from sluice.client.errors import UNEXPECTED_ANSWER, UNREACHABLE, SluiceApiError
from sluice.client.export import Export, Link, Receipt, Status
from sluice.client.rows import Columns, Row

__all__ = [
    "UNEXPECTED_ANSWER",
    "UNREACHABLE",
    "Client",
    "Columns",
    "Export",
    "Link",
    "Receipt",
    "Row",
    "SluiceApiError",
    "Status",
    "Timeouts",
]
