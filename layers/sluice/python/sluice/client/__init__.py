"""The Python client of the HTTP API. It imports nothing but the standard library and what is shipped along."""

from sluice.client.client import Client
from sluice.client.connections import Timeouts
from sluice.client.datasets import Dataset, DatasetColumn, DatasetExport, Datasets, Preview
from sluice.client.errors import UNEXPECTED_ANSWER, UNREACHABLE, SluiceApiError
from sluice.client.export import Export
from sluice.client.frames import Frame
from sluice.client.rows import Columns, Row
from sluice.client.status import Link, Receipt, Status
from sluice.client.webhook import verify_webhook

__all__ = [
    "UNEXPECTED_ANSWER",
    "UNREACHABLE",
    "Client",
    "Columns",
    "Dataset",
    "DatasetColumn",
    "DatasetExport",
    "Datasets",
    "Export",
    "Frame",
    "Link",
    "Preview",
    "Receipt",
    "Row",
    "SluiceApiError",
    "Status",
    "Timeouts",
    "verify_webhook",
]
