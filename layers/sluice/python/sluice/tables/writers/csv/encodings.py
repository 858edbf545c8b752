"""The character encodings a CSV file can have, and what each of them cannot hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.options import ExportOptions

BOM = "\ufeff"
"""The byte order mark, as a character."""


class Mark(Enum):
    """Whether a file of this encoding begins with a byte order mark."""

    NEVER = "never"
    OPTIONAL = "optional"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Encoding:
    """One encoding. Text is refused unless exactly the same text is read back."""

    charset: str
    """The registered name, for the media type."""
    codec: str
    mark: Mark = Mark.NEVER
    bent: str = ""
    """Characters, as between the brackets of a regular expression, that other programs read back as other ones."""
    mixes_ascii: bool = False
    """A character may have bytes that alone are ASCII characters, such as the pipe in Shift_JIS."""
    bytes_per_byte: int = 1
    """How many bytes one byte of UTF-8 may become."""

    @property
    def is_unicode(self) -> bool:
        """Whether every character has a place in the encoding."""
        return self.codec in _UNICODE

    def begin(self, *, bom: bool) -> bytes:
        """Begin a file: the byte order mark, if the encoding demands it, or allows it and ``bom`` asks for it."""
        if self.mark is Mark.ALWAYS or (bom and self.mark is Mark.OPTIONAL):
            return BOM.encode(self.codec)
        return b""

    def holds(self, text: str) -> bool:
        """Whether ``text`` is read back as it was."""
        if text.isascii():
            return True
        try:
            text.encode(self.codec)
        except UnicodeEncodeError:
            return False
        return not self._bends(text)

    def encode(self, text: str) -> bytes:
        """Encode. Raises UnicodeEncodeError for text that the encoding does not hold."""
        if self._bends(text):
            raise UnicodeEncodeError(self.codec, "?", 0, 1, "would be read back as another character")
        return text.encode(self.codec)

    def encode_replacing(self, text: str) -> bytes:
        """Encode with a question mark for each character that the encoding does not hold."""
        if self.bent:
            text = re.sub(f"[{self.bent}]", "?", text)
        return text.encode(self.codec, errors="replace")

    def _bends(self, text: str) -> bool:
        return bool(self.bent) and re.search(f"[{self.bent}]", text) is not None


_UNICODE = {"utf-8", "utf-16-le", "utf-16-be"}

# The editions of GB 18030 (2000, 2005, 2022) put these in different places.
_MOVED_IN_GB18030 = (
    "\u1e3f\u9fb4-\u9fbb\ue5e5\ue78d-\ue796\ue7c7\ue816-\ue818\ue81e\ue826\ue82b\ue82c\ue831\ue832\ue83b\ue843"
    "\ue854\ue855\ue864\ufe10-\ufe19"
)
# The codec bends the first line; it has the second, Cyrillic, circled digits and kana, where code page 950 keeps
# room for characters of the user's own, and browsers have yet others.
_BENT_BY_BIG5 = (
    "¢£¥•‾∼☉♁､"  # noqa: RUF001 -- the very characters
    "\u0401-\u0451\u2460-\u247d\u3005\u3041-\u30fe"
)
_BENT_BY_SHIFT_JIS = (
    "¢£¬‖−〜"  # noqa: RUF001 -- the very characters
    "\x80\uf8f0-\uf8f3"  # bytes that are no characters for others
)

_ENCODINGS = {
    "utf-8": Encoding("utf-8", "utf-8", Mark.OPTIONAL),
    "utf-16": Encoding("utf-16", "utf-16-le", Mark.ALWAYS, bytes_per_byte=2),
    "utf-16le": Encoding("utf-16le", "utf-16-le", Mark.OPTIONAL, bytes_per_byte=2),
    "utf-16be": Encoding("utf-16be", "utf-16-be", Mark.OPTIONAL, bytes_per_byte=2),
    "gbk": Encoding("gbk", "gbk", mixes_ascii=True),
    "gb18030": Encoding("gb18030", "gb18030", bent=_MOVED_IN_GB18030, mixes_ascii=True, bytes_per_byte=2),
    # The three below are read by Excel and by browsers as the Windows code page of that name,
    # which holds more than the standard: https://encoding.spec.whatwg.org/#names-and-labels
    "big5": Encoding("big5", "cp950", bent=_BENT_BY_BIG5, mixes_ascii=True),
    "shift_jis": Encoding("shift_jis", "cp932", bent=_BENT_BY_SHIFT_JIS, mixes_ascii=True),
    "euc-kr": Encoding("euc-kr", "cp949", mixes_ascii=True),
    # Read as windows-1252, which has other characters where this one has controls.
    "iso-8859-1": Encoding("iso-8859-1", "iso8859-1", bent="\x80-\x9f"),
    **{f"windows-125{page}": Encoding(f"windows-125{page}", f"cp125{page}") for page in range(9)},
}
_ALIASES = {
    "utf8": "utf-8",
    "utf16": "utf-16",
    "utf-16-le": "utf-16le",
    "utf-16-be": "utf-16be",
    "cp936": "gbk",
    "gb2312": "gbk",
    "cp950": "big5",
    "shift-jis": "shift_jis",
    "sjis": "shift_jis",
    "cp932": "shift_jis",
    "windows-31j": "shift_jis",
    "cp949": "euc-kr",
    "latin1": "iso-8859-1",
    "latin-1": "iso-8859-1",
    **{f"cp125{page}": f"windows-125{page}" for page in range(9)},
}


def find_encoding(name: str) -> Encoding | None:
    """Find an encoding by its name or alias, in any case; None for one that is not offered."""
    known = name.lower().replace("_", "-")
    known = _ALIASES.get(known, known)
    return _ENCODINGS.get(known)


def encoding_of(options: ExportOptions) -> Encoding:
    """Find the encoding of a file. Raises UNSUPPORTED_ENCODING."""
    encoding = find_encoding(options.csv_encoding)
    if encoding is None:
        raise SluiceError(ErrorCode.UNSUPPORTED_ENCODING, field="options.csv_encoding")
    return encoding
