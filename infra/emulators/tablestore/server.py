"""The server: lets requests in, has them done with the troubles that tests order, and signs the answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from infra.emulators.tablestore.access import Access, Identity, StsCredentials
from infra.emulators.tablestore.answers import answer, error_answer, spoiled
from infra.emulators.tablestore.calls import Call
from infra.emulators.tablestore.connections import Dropped, HttpAnswer, HttpRequest, Listener
from infra.emulators.tablestore.faults import Action, Faults, with_trouble
from infra.emulators.tablestore.instance import Instance
from infra.emulators.tablestore.operations import perform, read_request
from infra.emulators.tablestore.refusals import Refused

ACCESS_KEY_ID = "LTAI-stand-in-for-tests"
ACCESS_KEY_SECRET = "not-a-secret-of-anybody"

_log = logging.getLogger(__name__)


class TablestoreServer:
    """One instance of the table store on a port of this machine, served by threads of this process."""

    def __init__(
        self,
        *,
        instance: str = "sluice",
        region: str = "cn-hangzhou",
        port: int = 0,
        access_key_id: str = ACCESS_KEY_ID,
        access_key_secret: str = ACCESS_KEY_SECRET,
    ) -> None:
        """Listen from now on; ``port`` 0 takes a free one."""
        self.instance = instance
        self.region = region
        self.access_key_id = access_key_id
        self.access_key_secret = access_key_secret
        self.requests: list[Call] = []
        """In the order in which they came in."""
        self.faults = Faults()
        self._state = Instance()
        self._access = Access(
            instance=instance, region=region, access_key_id=access_key_id, access_key_secret=access_key_secret
        )
        self._listener = Listener(self._answer, port=port)
        self._stopping = threading.Event()
        self._failures: list[Exception] = []
        self.port = self._listener.port
        self.endpoint = f"http://127.0.0.1:{self.port}"

    @property
    def index_lag_s(self) -> float:
        """How long secondary indexes stay behind; may be set at any time, infinite too."""
        return self._state.index_lag_s

    @index_lag_s.setter
    def index_lag_s(self, lag_s: float) -> None:
        self._state.index_lag_s = lag_s

    @property
    def table_ready_s(self) -> float:
        """For how long a table created from now on answers OTSTableNotReady."""
        return self._state.table_ready_s

    @table_ready_s.setter
    def table_ready_s(self, ready_s: float) -> None:
        self._state.table_ready_s = ready_s

    @property
    def index_build_s(self) -> float:
        """For how long an index created from now on over existing rows cannot be read."""
        return self._state.index_build_s

    @index_build_s.setter
    def index_build_s(self, build_s: float) -> None:
        self._state.index_build_s = build_s

    def issue_sts(self, life_s: float) -> StsCredentials:
        """Return temporary credentials that are good for ``life_s``."""
        return self._access.issue_sts(life_s)

    def admit(self, issued: StsCredentials, life_s: float) -> None:
        """Know temporary credentials that another service's emulator issued."""
        self._access.admit(issued, life_s)

    def start(self) -> None:
        self._listener.start()

    def stop(self) -> None:
        """Release requests that wait at a gate, close everything, wait for every thread.

        Raises ExceptionGroup if the server itself failed meanwhile, whatever the caller made of its answer.
        """
        self._stopping.set()
        self.faults.clear()
        self._listener.stop()
        if self._failures:
            raise ExceptionGroup("the stand-in itself failed", self._failures)

    def _answer(self, request: HttpRequest, reset: Callable[[], None]) -> HttpAnswer:
        call = Call(request.path.removeprefix("/"))
        self.requests.append(call)
        identity: Identity | None = None
        action: Action | None = None
        try:
            _check_form(request)
            identity = self._access.identify(request.path, request.headers, request.body)
            call.message = read_request(call.operation, request.body)
            action = self.faults.take(call)
            done = with_trouble(
                action,
                lambda: perform(call.operation, self._state, call.message),
                reset=reset,
                stopping=self._stopping,
            )
            given = answer(request.path, done, identity)
        except Dropped:
            raise
        except Exception as error:  # noqa: BLE001 - a server answers, whatever happens
            refused = self._refused(error)
            call.code = refused.code
            given = error_answer(request.path, refused, identity)
        call.status = given.status
        return spoiled(given, action)

    def _refused(self, error: Exception) -> Refused:
        """Return what to answer; an error of our own is kept for the end."""
        if isinstance(error, Refused):
            return error
        self._failures.append(error)
        _log.error("the stand-in itself failed", exc_info=error)
        return Refused("OTSInternalServerError", "Internal server error.")


def _check_form(request: HttpRequest) -> None:
    if request.method != "POST":
        raise Refused("OTSMethodNotAllowed", "Only POST method for requests is supported.")
    if request.is_too_large:
        raise Refused("OTSRequestBodyTooLarge", "The size of POST data is too large.")


@contextmanager
def serving_tablestore(
    *, instance: str = "sluice", region: str = "cn-hangzhou", port: int = 0
) -> Iterator[TablestoreServer]:
    """Run a server while the block runs."""
    server = TablestoreServer(instance=instance, region=region, port=port)
    server.start()
    try:
        yield server
    finally:
        server.stop()
