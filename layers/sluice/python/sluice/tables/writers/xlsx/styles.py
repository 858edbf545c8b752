"""The named styles of a workbook: what its header and its rows look like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sluice.domain.options import ExportOptions

_GREY_BAND = "F2F2F2"
_THIN, _MEDIUM = 1, 2
_GAMMA = 2.2
_DARK_BELOW = 0.179
"""A luminance at which black and white text have equal contrast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """Colours are RRGGBB; empty for none."""

    header_fill: str = ""
    header_line: bool = False
    """A line between the header and the rows."""
    bands: str = ""
    """Background of every other row."""
    grid: str = ""
    """Lines around every cell."""

    def header_format(self) -> dict[str, Any]:
        """The header's cell format, as XlsxWriter takes it."""
        made: dict[str, Any] = {"bold": True}
        if self.header_fill:
            made["bg_color"] = f"#{self.header_fill}"
            if _is_dark(self.header_fill):
                made["font_color"] = "#FFFFFF"
        if self.header_line:
            made["bottom"] = _MEDIUM
        return made | _lines(self.grid)

    def row_formats(self) -> list[tuple[str, dict[str, Any]]]:
        """Conditions on the data rows, with ``{first}`` for the number of the first one, and the format each gives.

        As conditions they cost nothing per cell, and belong to the place rather than to the row that is there.
        """
        banded = [("=MOD(ROW()-{first},2)=1", {"bg_color": f"#{self.bands}"})] if self.bands else []
        return banded + ([("=TRUE", _lines(self.grid))] if self.grid else [])


LOOKS: dict[str, Style] = {
    "plain": Style(header_fill="D9E1F2"),
    "banded": Style(header_fill="D9E1F2", bands=_GREY_BAND),
    "bordered": Style(header_fill="E7E6E6", grid="BFBFBF"),
    "dark": Style(header_fill="1F3864", bands="DDE6F3"),
    "minimal": Style(header_line=True),
}
"""By the value of the option ``style``."""


def style_of(options: ExportOptions) -> Style:
    """The look that was chosen; a header colour and banding that were chosen too win over it."""
    look = LOOKS[options.style]
    if options.header_color:
        look = replace(look, header_fill=options.header_color.removeprefix("#"))
    if options.banding is not None:
        look = replace(look, bands=(look.bands or _GREY_BAND) if options.banding else "")
    return look


def _lines(color: str) -> dict[str, Any]:
    return {"border": _THIN, "border_color": f"#{color}"} if color else {}


def _is_dark(color: str) -> bool:
    """Whether white text has more contrast on it than black, by the relative luminance of WCAG 2."""
    red, green, blue = (float((int(color[start : start + 2], 16) / 255) ** _GAMMA) for start in (0, 2, 4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < _DARK_BELOW
