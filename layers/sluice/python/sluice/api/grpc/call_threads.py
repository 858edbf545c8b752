"""The threads that calls run in: a bounded number, and a refusal where the system has none left."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from threading import Lock, Thread, local
from typing import Any, TypeVar

Result = TypeVar("Result")

_here = local()


def is_refusing() -> bool:
    """Whether the caller runs for want of a thread of its own: then it must not wait, but refuse."""
    return getattr(_here, "refusing", False)


class CallThreads(Executor):
    """Runs each call in a thread of its own, and threads are used again.

    gRPC calls ``submit`` from the one thread that serves its port, and an error
    raised there ends that thread: no call is ever served again. So ``submit``
    never raises. A call for which there is no thread is run at once by the
    thread that submits it, with ``is_refusing`` true; the next one may find a thread again.
    """

    def __init__(self, threads_max: int) -> None:
        self._threads_max = threads_max
        self._lock = Lock()
        self._threads: list[Thread] = []
        self._idle = 0
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        future: Future[Result] = Future()

        def work() -> None:
            future.set_running_or_notify_cancel()
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  # it belongs to the future
                future.set_exception(error)
            else:
                future.set_result(result)

        if self._has_thread():
            self._work.put(work)
        else:
            _here.refusing = True
            try:
                work()
            finally:
                _here.refusing = False
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  # as its parent
        """End each thread after its call. Nothing is ever queued without a thread, so nothing is cancelled."""
        del cancel_futures
        with self._lock:
            threads = tuple(self._threads)
            self._threads_max = 0
        for _ in threads:
            self._work.put(None)
        if wait:
            for thread in threads:
                thread.join()

    def _has_thread(self) -> bool:
        """Reserve an idle thread, or start one."""
        with self._lock:
            if self._idle:
                self._idle -= 1
                return True
            if len(self._threads) >= self._threads_max:
                return False
            thread = Thread(target=self._run, name=f"grpc-{len(self._threads) + 1}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system's limit on threads or memory
                return False
            self._threads.append(thread)
            return True

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # with the memory of the call, before the next one comes
            with self._lock:
                self._idle += 1
