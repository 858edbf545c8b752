"""Tenants take turns at decoding, and one that asks for much has a part of the turns."""

from __future__ import annotations

from sluice.api.auth import NO_KEY, DecodingPlace, DecodingTurns, Principal
from sluice.domain.keys import TenantId


class Line:
    """Callers at two turns; ``begun`` are the names of those whose turn came, in that order."""

    def __init__(self, *, has_keys: bool = True) -> None:
        self.turns = DecodingTurns(2, of_tenant=1)
        self.begun: list[str] = []
        self._places: dict[str, DecodingPlace] = {}
        self._key_id = "k" if has_keys else NO_KEY

    def ask(self, *names: str) -> None:
        """Names are those of tenants and a number, as in a1."""
        for name in names:
            caller = Principal(tenant=TenantId(name[0]), key_id=self._key_id, scopes=frozenset())
            self._places[name] = self.turns.ask(caller, lambda name=name: self.begun.append(name))  # type: ignore[misc]

    def leave(self, *names: str) -> None:
        for name in names:
            self._places.pop(name).leave()

    def leave_each(self) -> None:
        """Each has its turn, and gives it back, in the order in which they began."""
        ended = 0
        while self._places:
            self.leave(self.begun[ended])
            ended += 1


def test_a_tenant_has_one_of_two_turns_however_many_it_asks_for() -> None:
    line = Line()
    line.ask("a1", "a2", "a3")
    assert (line.begun, line.turns.free, line.turns.waiting) == (["a1"], 1, 2)
    line.ask("b1")
    assert line.begun == ["a1", "b1"]


def test_tenants_take_turns_and_the_calls_of_each_come_in_their_order() -> None:
    line = Line()
    line.ask("a1", "a2", "a3", "b1", "b2", "b3", "c1", "d1")
    line.leave_each()
    assert line.begun == ["a1", "b1", "a2", "b2", "c1", "d1", "a3", "b3"]


def test_one_of_a_tenant_waits_for_one_of_each_other() -> None:
    line = Line()
    line.ask(*(f"a{n}" for n in range(50)), *(f"b{n}" for n in range(50)), "c1")
    line.leave("a0", "b0", "a1")
    assert line.begun == ["a0", "b0", "a1", "b1", "c1"]


def test_a_call_that_no_longer_waits_gets_no_turn_and_keeps_none_from_others() -> None:
    line = Line()
    line.ask("a1", "b1", "a2", "c1", "a3")
    line.leave("a2", "c1")
    assert line.turns.waiting == 1
    line.leave("a1")
    assert line.begun == ["a1", "b1", "a3"]
    line.leave("a3", "b1")
    assert (line.turns.free, line.turns.waiting) == (2, 0)
    line.ask("c2")
    assert line.begun[-1] == "c2"


def test_a_turn_that_came_while_its_caller_gave_up_is_given_on() -> None:
    line = Line()
    line.ask("a1", "b1", "a2", "a3")
    line.leave("a1")  # a2 has its turn
    line.leave("a2")
    assert line.begun == ["a1", "b1", "a2", "a3"]


def test_without_keys_the_one_tenant_has_all_turns() -> None:
    line = Line(has_keys=False)
    line.ask("a1", "a2", "a3")
    assert line.begun == ["a1", "a2"]
