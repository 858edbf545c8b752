"""Where a listing of tasks goes on, as text that only the store reads."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

import msgspec

from sluice.domain.task import Task


class Position(NamedTuple):
    """The last task of a page. The order is newest first, ties by id."""

    created_at: float
    task_id: str

    @classmethod
    def of(cls, task: Task) -> Position:
        return cls(float(task.created_at), task.task_id)

    @classmethod
    def read(cls, cursor: str) -> Position | None:
        """Read a cursor back; None for the empty one. Raises ValueError for any other text."""
        if not cursor:
            return None
        try:
            text = base64.urlsafe_b64decode(cursor.encode("ascii"))
            position = msgspec.json.decode(text, type=Position)
        except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError) as error:
            raise ValueError("the cursor is not one of ours") from error
        if position.encode() != cursor:
            raise ValueError("the cursor is not one of ours")
        return position

    def encode(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode("ascii")
