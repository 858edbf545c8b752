"""The name a person sees: made safe for every file system, and put into the download's header."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from urllib.parse import quote

from sluice.domain.limits import Limits

NAMELESS = "export"
"""The stem of a file whose name has nothing left after cleaning."""

_FORBIDDEN = re.compile(
    r'[/\\:*?"<>|]'
    "|[\x00-\x1f\x7f-\x9f\u2028\u2029]"  # control characters and line ends
    "|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # bidi: they make exe.csv look like csv.exe
    "|[\ud800-\udfff]"  # lone surrogates are no characters
)
_OTHER_EXTENSIONS = ("ndjson.gz", "ndjson", "tsv", "txt", "xlsm", "xlsb", "xls", "ods", "gz", "zip")
"""Extensions of tables that are none of ours; ``v1.2`` is no extension."""
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\.|\Z)",
    re.IGNORECASE | re.ASCII,
)
"""Windows opens a device for these names, whatever follows the first dot."""
_UNFIT_FOR_FALLBACK = re.compile(r'[^ -~]|["\\%]')
_CHARS_FOR_A_BYTE = 4
"""More characters than may become one byte of a name when they are put together."""
_ATTR_CHAR = "!#$&+-.^_`|~"
"""What RFC 8187 leaves unescaped besides letters and digits."""


def sanitise_filename(name: str, *, extension: str, replaced: tuple[str, ...], limits: Limits) -> str:
    """Make ``name`` fit to be saved anywhere, ending in ``.extension`` instead of one of ``replaced``.

    At most ``limits.filename_bytes_max`` bytes of UTF-8 in form NFC. Sanitising
    a sanitised name changes nothing.
    """
    room_bytes = limits.filename_bytes_max - len(f".{extension}".encode())
    # Cut first: normalising takes the square of the length of a run of marks, and nothing else runs meanwhile.
    cut = _FORBIDDEN.sub("", name)[: _CHARS_FOR_A_BYTE * limits.filename_bytes_max]
    cleaned = unicodedata.normalize("NFC", _FORBIDDEN.sub("", unicodedata.normalize("NFC", cut)))
    stem = cut_stem(_trim(_ending(replaced).sub("", cleaned)) or NAMELESS, room_bytes)
    if _DEVICE.match(stem):
        stem = cut_stem(f"_{stem}", room_bytes)
    return f"{stem}.{extension}"


@cache
def _ending(extensions: tuple[str, ...]) -> re.Pattern[str]:
    """The end of a name that the format's own extension replaces."""
    known = "|".join(map(re.escape, (*extensions, *_OTHER_EXTENSIONS)))
    return re.compile(rf"\.({known})[.\s]*\Z", re.IGNORECASE)


def content_disposition(filename: str) -> str:
    """Build the header that makes a browser save a download under ``filename`` (RFC 6266, RFC 8187).

    Always one line with one name: an ASCII fallback for old readers and the
    name itself.
    """
    fallback = _UNFIT_FOR_FALLBACK.sub("_", filename)
    encoded = quote(filename, safe=_ATTR_CHAR, errors="replace")
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{encoded}"


def _trim(text: str) -> str:
    """Drop dots and white space from both ends: Windows drops them silently, a leading dot hides the file."""
    start, end = 0, len(text)
    while start < end and _is_loose(text[start]):
        start += 1
    while start < end and _is_loose(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_loose(character: str) -> bool:
    return character == "." or character.isspace()


def cut_stem(stem: str, room_bytes: int) -> str:
    """Shorten to ``room_bytes`` of UTF-8 between two characters."""
    return _trim(stem.encode()[:room_bytes].decode(errors="ignore"))
