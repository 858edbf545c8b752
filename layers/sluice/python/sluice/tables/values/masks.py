"""Writes values so that a reader learns what they are, and not which."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import TypeAlias

from sluice.domain.secret import Secret

Mask: TypeAlias = Callable[[str], str]

HIDDEN = "***"
"""For what is too short, or of another form than the mask knows: nothing of it is shown."""
_LOCAL_MIN, _SHOWN_END = 3, 4
_PHONE_DIGITS_MIN, _LONG_PHONE_DIGITS, _CARD_DIGITS_MIN = 8, 11, 12
_DOMAIN = re.compile(r"(?:[\w-]+\.)+[^\W\d_][\w-]*")
"""Anything else behind an @ may be what is to be hidden."""
_REMEMBERED_MAX, _REMEMBERED_CHARS = 4_096, 256
"""Domains that are remembered, and of what length at most: both bound memory."""


class _ShownDomains(dict[str, str]):
    """What is shown for a domain, empty for what is none; most addresses have one that came before."""

    def __missing__(self, domain: str) -> str:
        shown = f"{HIDDEN}@{domain}" if _DOMAIN.fullmatch(domain) else ""
        if len(domain) <= _REMEMBERED_CHARS:
            if len(self) >= _REMEMBERED_MAX:
                self.clear()
            self[domain] = shown
        return shown


_SHOWN_DOMAINS = _ShownDomains()


def mask_email(text: str) -> str:
    """``a***@example.com``: the first character and the domain; of a short name the domain alone."""
    local, _, domain = text.rpartition("@")
    shown = _SHOWN_DOMAINS[domain]
    if not local or not shown:
        return HIDDEN
    return local[0] + shown if len(local) >= _LOCAL_MIN else shown


def mask_phone(text: str) -> str:
    """``138****5678``: the first three and the last four digits of eleven or more; the last four of eight to ten.

    At least four are hidden, and no sign between them is shown.
    """
    digits = "".join(filter(str.isdigit, text))
    if len(digits) < _PHONE_DIGITS_MIN:
        return HIDDEN
    return f"{digits[:3] if len(digits) >= _LONG_PHONE_DIGITS else ''}****{digits[-4:]}"


def mask_name(text: str) -> str:
    """``张**``, ``A** L**``: the first character of each word, if it has others."""
    words = text.split()
    return " ".join(f"{word[0]}**" if len(word) > 1 else "**" for word in words) or HIDDEN


def mask_card(text: str) -> str:
    """``**** 1234``: the last four digits of a number of twelve or more."""
    digits = "".join(filter(str.isdigit, text))
    return f"**** {digits[-4:]}" if len(digits) >= _CARD_DIGITS_MIN else HIDDEN


def mask_last4(text: str) -> str:
    """``***1234``: the last four characters, if at least as many are hidden."""
    return f"{HIDDEN}{text[-_SHOWN_END:]}" if len(text) >= 2 * _SHOWN_END else HIDDEN


MASKS: Mapping[str, Mask] = {
    "email": mask_email,
    "phone": mask_phone,
    "name": mask_name,
    "card": mask_card,
    "last4": mask_last4,
}
"""By the name that a dataset gives them, but for hashes, which have a key."""


HASH_CHARS = 32
HASHED = "hash:"
"""Begins the name of a mask by a key; behind it is the key's own."""


def find_masks(names: Sequence[str], find_key: Callable[[str], Secret]) -> list[Mask | None]:
    """The masks of columns, by their names; None where there is none. A key is asked for by its name."""
    return [_find_mask(name, find_key) if name else None for name in names]


def _find_mask(name: str, find_key: Callable[[str], Secret]) -> Mask:
    if not name.startswith(HASHED):
        return MASKS[name]
    key = find_key(name.removeprefix(HASHED)).reveal().encode()
    return lambda text: hmac.digest(key, text.encode("utf-8", "surrogatepass"), sha256).hex()[:HASH_CHARS]


def masked(columns: Sequence[Sequence[str | None]], masks: Sequence[Mask | None]) -> Sequence[Sequence[str | None]]:
    """The columns, each written by its mask; None leaves one as it is, a null is null. Each text once."""
    if not any(masks):
        return columns
    return [_masked(values, mask) if mask else values for values, mask in zip(columns, masks, strict=True)]


def _masked(values: Sequence[str | None], mask: Mask) -> list[str | None]:
    known = {value: None if value is None else mask(value) for value in set(values)}
    return [known[value] for value in values]
