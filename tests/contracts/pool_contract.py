"""What a pool that keeps the order must do."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest

from sluice.ports.log_context import bound_context, current_context
from sluice.ports.pool import OrderedPool


class Lamp(Exception):
    """Raised by the work of these tests."""


class PoolContract(ABC):
    """Adopt it by a subclass whose name begins with ``Test``."""

    @abstractmethod
    def open_pool(self) -> OrderedPool:
        """The pool under test."""

    @pytest.mark.parametrize("concurrency", [1, 2, 7])
    @pytest.mark.parametrize("items", [0, 1, 2, 3, 50])
    def test_what_comes_out_has_the_order_of_what_went_in(self, items: int, concurrency: int) -> None:
        waits = [threading.Event() for _ in range(items)]
        for wait in waits:
            wait.set()

        def work(item: int) -> int:
            assert waits[item].wait(10)
            return item * item

        assert list(self.open_pool().map(work, range(items), concurrency=concurrency)) == [
            item * item for item in range(items)
        ]

    @pytest.mark.parametrize("concurrency", [1, 2, 5])
    def test_no_more_items_are_taken_than_are_worked_on_at_once(self, concurrency: int) -> None:
        taken = 0

        def endless() -> Iterator[int]:
            nonlocal taken
            for item in count():
                taken += 1
                yield item

        with closing(self.open_pool().map(lambda item: item, endless(), concurrency=concurrency)) as done:
            for yielded in range(1, 20):
                next(done)
                assert taken - (yielded - 1) <= concurrency

    def test_nothing_happens_before_the_first_result_is_asked_for(self) -> None:
        done = self.open_pool().map(print, iter(lambda: pytest.fail("an item was taken"), None), concurrency=3)
        done.close()

    @pytest.mark.parametrize("concurrency", [1, 3])
    def test_an_error_of_the_work_comes_at_its_items_place(self, concurrency: int) -> None:
        def work(item: int) -> int:
            if item == 5:
                raise Lamp
            return item

        done = self.open_pool().map(work, range(10), concurrency=concurrency)
        assert [next(done) for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(Lamp):
            next(done)
        with pytest.raises(StopIteration):
            next(done)

    @pytest.mark.parametrize("concurrency", [1, 3])
    def test_an_error_of_the_items_passes_through(self, concurrency: int) -> None:
        def items() -> Iterator[int]:
            yield 1
            raise Lamp

        with pytest.raises(Lamp):
            list(self.open_pool().map(lambda item: item, items(), concurrency=concurrency))

    @pytest.mark.parametrize("concurrency", [1, 4])
    def test_nothing_is_at_work_once_it_is_closed(self, concurrency: int) -> None:
        begun, ended = count(), count()

        def work(item: int) -> int:
            next(begun)
            threading.Event().wait(0.01)
            next(ended)
            return item

        done = self.open_pool().map(work, count(), concurrency=concurrency)
        next(done)
        done.close()
        at_close = next(begun)
        assert at_close == next(ended)
        threading.Event().wait(0.05)
        assert next(begun) == at_close + 1

    def test_the_work_knows_the_log_context_of_its_caller(self) -> None:
        with bound_context(task_id="a"):
            contexts = list(self.open_pool().map(lambda _: current_context(), range(3), concurrency=2))
        assert [dict(context) for context in contexts] == [{"task_id": "a"}] * 3
