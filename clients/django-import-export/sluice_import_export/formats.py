"""Formats that Sluice writes, and some that django-import-export does not have."""

from __future__ import annotations

from typing import NoReturn

from import_export.formats import base_formats


class _Sluice(base_formats.Format):
    """Written by Sluice alone."""

    name = ""

    def get_title(self) -> str:
        return self.name

    def get_extension(self) -> str:
        return self.name

    def can_export(self) -> bool:
        return True

    def export_data(self, *_: object, **__: object) -> NoReturn:
        """Refuse what is left to django-import-export, and say so: the admin shows the text of a ValueError."""
        raise ValueError(f"{self.name} is written by Sluice alone, which cannot honour all that this export asks for")


class XLSX(_Sluice):
    """Excel, also where openpyxl is not installed."""

    name = "xlsx"


class JSONLines(_Sluice):
    name = "jsonl"


class Parquet(_Sluice):
    name = "parquet"


WRITTEN: dict[type[base_formats.Format], str] = {
    base_formats.CSV: "csv",
    base_formats.XLSX: "xlsx",
    XLSX: "xlsx",
    JSONLines: "jsonl",
    Parquet: "parquet",
}
"""Sluice's names of the formats. Subclasses are not among them: they write something of their own."""
