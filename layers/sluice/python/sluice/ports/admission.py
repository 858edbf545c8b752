"""Whether the service can take on one more export now."""

from __future__ import annotations

from typing import Protocol


class Admission(Protocol):
    def admit(self) -> None:
        """Return when one more export may be opened.

        May wait a little for room. Raises ``SluiceError`` QUEUE_FULL with
        ``retry_after_s`` when there is none. Reserves nothing.
        """
