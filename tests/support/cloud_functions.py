"""The deployed functions over stand-ins of the cloud: what they are told, how they are called, what they log."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx

from infra.emulators.oss import OssServer, serving_oss
from infra.emulators.tablestore import TablestoreServer
from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials
from sluice.adapters.aliyun.tablestore.keys import TablestoreKeys
from sluice.adapters.aliyun.tablestore.schema import TablestoreAccess
from sluice.adapters.aliyun.tablestore.tables import create_tables
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.api.api_keys import add_key
from sluice.app.aliyun import open_cloud
from sluice.app.settings.validation import settings_from
from sluice.domain.api_key import Scope
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.secret import Secret
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from tests.support.recorded_journal import RecordedJournal

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ROOT / "functions"
START_S = 30
STOP_S = 15
CANARY = "canary-of-a-secret-that-no-log-may-hold"

ID_VARIABLE = "ALIBABA_CLOUD_ACCESS_KEY_ID"
SECRET_VARIABLE = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"

# Small repairs in seconds; everything else is as it is deployed.
QUICK = {"SLUICE_CONCURRENCY_TRIGGER_GRACE_S": "0.001", "SLUICE_CONCURRENCY_BACKOFF_S": "0.05"}


@dataclass(frozen=True)
class Cloud:
    """Both stand-ins, with tables made and one access key for both."""

    oss: OssServer
    tablestore: TablestoreServer

    @property
    def access(self) -> TablestoreAccess:
        credentials = Credentials(self.oss.access_key_id, Secret(self.oss.access_key_secret))
        return TablestoreAccess(
            endpoint=self.tablestore.endpoint,
            instance=self.tablestore.instance,
            region=self.oss.region,
            table="export_task",
            credentials=FixedCredentials(credentials),
        )

    def settings(self) -> dict[str, str]:
        """The variables that a deployment sets. Whose credentials to use is the platform's to say."""
        return {
            "SLUICE_OSS_ENDPOINT": self.oss.endpoint,
            "SLUICE_OSS_REGION": self.oss.region,
            "SLUICE_OSS_BUCKET": "sluice-in",
            "SLUICE_OSS_RESULT_BUCKET": "sluice-out",
            "SLUICE_TABLESTORE_ENDPOINT": self.tablestore.endpoint,
            "SLUICE_TABLESTORE_INSTANCE": self.tablestore.instance,
            "FC_FUNCTION_NAME": "sluice-under-test",
            "FC_REGION": self.oss.region,
            **QUICK,
        }

    def credentials(self) -> dict[str, str]:
        """The variables by which a built-in runtime from Python 3.12 on says who a function is."""
        return {ID_VARIABLE: self.oss.access_key_id, SECRET_VARIABLE: self.oss.access_key_secret}

    def headers(self, request_id: str = "fc-request-1") -> dict[str, str]:
        """The headers by which a custom runtime says who a function is."""
        return {
            "x-fc-access-key-id": self.oss.access_key_id,
            "x-fc-access-key-secret": self.oss.access_key_secret,
            "x-fc-request-id": request_id,
            "x-fc-control-path": "/http-invoke",
        }

    def ports(self) -> AbstractContextManager[Ports]:
        """The ports of an operator's process over this cloud."""
        settings = settings_from({**self.settings(), **self.access_key(), "SLUICE_STORAGE_BACKEND": "oss"}, None)
        return open_cloud(settings, RecordedJournal())

    def access_key(self) -> dict[str, str]:
        """The variables by which a process outside of Function Compute says who it is."""
        return {
            "SLUICE_OSS_ACCESS_KEY_ID": self.oss.access_key_id,
            "SLUICE_OSS_ACCESS_KEY_SECRET": self.oss.access_key_secret,
        }

    def seal(self, *, batches: int = 1, tenant: str = "shop") -> TaskRef:
        """Make a task of ``batches`` batches, of ten rows each, and close it."""
        columns = (ColumnSpec("id"), ColumnSpec("name"))
        params = ExportParams(format=ExportFormat.CSV, filename="orders.csv", columns=columns)
        with self.ports() as ports:
            ref = open_export(ports, TenantId(tenant), OpenRequest(params)).task.ref
            for sequence in range(1, batches + 1):
                batch = Batch.of_rows([(f"{sequence}.{row}", "x") for row in range(10)], 2)
                put_batch(ports, ParamsCache(ports), ref, sequence=sequence, batch=batch)
            close_export(ports, ref, CloseRequest())
        return ref

    def row(self, ref: TaskRef) -> Task:
        """A task as it is now."""
        with self.ports() as ports:
            task = ports.tasks.read(ref)
        assert task is not None
        return task

    def add_key(self, tenant: str = "shop", scope: Scope = Scope.WRITE) -> str:
        """Make an API key; gives its text."""
        store = TablestoreKeys(self.access, timeout_s=5)
        try:
            new = add_key(store, tenant, scopes=[scope], clock=SystemClock(), randomness=SystemRandomness())
        finally:
            store.close()
        return new.text.reveal()


@contextmanager
def serving_cloud(folder: Path) -> Iterator[Cloud]:
    """Stand-ins for one test or one module of them."""
    with serving_oss(folder=folder) as oss:
        tablestore = TablestoreServer(access_key_id=oss.access_key_id, access_key_secret=oss.access_key_secret)
        tablestore.start()
        try:
            cloud = Cloud(oss, tablestore)
            create_tables(cloud.access, timeout_s=5)
            yield cloud
        finally:
            tablestore.stop()


def bare_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without settings, credentials and words of a platform, and with ``extra``."""
    ours = ("SLUICE_", "ALIBABA_CLOUD_", "FC_", "OSS_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **extra}


class WebFunctionProcess:
    """A function with a port, started by its command as a custom runtime starts it."""

    def __init__(self, command: list[str], env: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                env=bare_environment({"FC_SERVER_PORT": "0", **env}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.port = self._wait_for_port()

    def _wait_for_port(self) -> int:
        give_up_at = time.monotonic() + START_S
        while time.monotonic() < give_up_at and self.process.poll() is None:
            for line in log_lines(self.log):
                if line["event"] == "ServiceStarted":
                    return int(line["fields"]["port"])
            time.sleep(0.02)
        self.process.kill()
        self.process.wait()
        raise AssertionError(f"the function did not start:\n{self.log.read_text()}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


@contextmanager
def web_function(command: list[str], env: Mapping[str, str], log: Path) -> Iterator[WebFunctionProcess]:
    """A running function with a port, stopped by SIGTERM at the end."""
    function = WebFunctionProcess(command, env, log)
    try:
        yield function
        assert function.stop() == 0
    finally:
        if function.process.poll() is None:
            function.process.kill()
            function.process.wait()


def client_of(function: WebFunctionProcess, cloud: Cloud, token: str | None, **headers: str) -> httpx.Client:
    """A caller, as the gateway passes it on; without a ``token``, one that has no key."""
    key = {"authorization": f"Bearer {token}"} if token else {}
    given = {**cloud.headers(), **key, **headers}
    return httpx.Client(base_url=function.url, headers=given, timeout=20, verify=False)


class Invoked(NamedTuple):
    """How a call of an event function ended."""

    answer: Any
    """What the handler returned, read as JSON; None when it raised."""
    error: str
    """The last line of what Python says of what the handler raised."""
    output: str

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in map(_line, self.output.splitlines()) if line and line["event"] == name]


_INVOKE = """
import json, os, sys
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
module = __import__(sys.argv[2])
context = SimpleNamespace(request_id="fc-1", function=SimpleNamespace(timeout=int(sys.argv[3]), memory=512))
for event in json.loads(sys.stdin.read()):
    print("ANSWER " + module.handler(event.encode(), context), flush=True)
"""


def invoke_in_process(function: str, events: list[str], env: Mapping[str, str], *, time_limit_s: int = 600) -> Invoked:
    """Call a handler in a fresh process, once for each event, as a built-in runtime of Python 3.12 does."""
    command = [sys.executable, "-c", _INVOKE, str(FUNCTIONS / function), function, str(time_limit_s)]
    done = subprocess.run(
        command,
        env=bare_environment(env),
        input=json.dumps(events),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    answers = re.findall("^ANSWER (.*)$", done.stdout, re.MULTILINE)
    error = done.stderr.strip().splitlines()[-1] if done.returncode else ""
    return Invoked(json.loads(answers[-1]) if answers and not error else None, error, done.stdout + done.stderr)


def context_of(*, timeout_s: int | None = 600, credentials: object = None) -> SimpleNamespace:
    """The ``context`` argument of a handler; runtimes before Python 3.12 put credentials into it."""
    function = SimpleNamespace(name="sluice-compose", handler="compose.handler", memory=512, timeout=timeout_s)
    context = SimpleNamespace(request_id="fc-request-7", function=function, region="cn-hangzhou")
    if credentials is not None:
        context.credentials = credentials
    return context


def log_lines(path: Path) -> list[dict[str, Any]]:
    """The journal's lines in a file."""
    return [line for line in map(_line, path.read_text().splitlines()) if line]


def _line(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        line: dict[str, Any] = json.loads(text)
    except ValueError:
        return None  # half written yet
    return line if "event" in line else None
