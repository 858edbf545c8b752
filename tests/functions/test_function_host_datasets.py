"""Tables that functions read: the relay is asked, extract reads, compose writes, whatever is killed, lost or doubled.

The tables are PostgreSQL's. A file of SQLite can be read by functions of this host, and by none in the cloud.
"""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import jwt
import pytest

from infra.emulators.function_compute.interpreter import source_tree
from infra.emulators.function_compute.triggers import NEVER
from infra.emulators.oss import Fault, Hold
from infra.local.cloud import INPUT, USERS_SECRET, LocalCloud, deploy_variables, local_cloud
from sluice.app.aliyun import CLOUD, open_cloud
from sluice.app.settings.validation import settings_from
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.usecases.upkeep.sweep_tasks import sweep_tasks
from tests.support.database_servers import DatabaseServer, free_port, serving_postgresql
from tests.support.http_calls import CALLER
from tests.support.recorded_journal import RecordedJournal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # thirty starts take a busy machine long
PASSWORD = "a password that no log may hold"
KILLS = 30
STILL = 3
"""Every third row stays as it is; of the others some move to the front, some go, and new ones come."""
ROWS = 80_000
GIVE_UP_S = 120
WAITS = {
    "SLUICE_CONCURRENCY_LEASE_S": "1",
    "SLUICE_CONCURRENCY_HEARTBEAT_S": "0.2",
    "SLUICE_CONCURRENCY_CLOCK_SKEW_S": "0.1",
    "SLUICE_CONCURRENCY_TRIGGER_GRACE_S": "0.5",
    "SLUICE_CONCURRENCY_ATTEMPTS_MAX": "100",
}
"""Short: a test lets a lease lapse for each worker that it kills."""
CONNECTION = "name: crm\ntype: postgresql\nhost: 127.0.0.1\nport: PORT\ndatabase: postgres\nuser: exporter\n"
DATASET = """
dataset: NAME
source: {connection: crm, table: public.NAME, key: [id], consistency: key}
columns: [{name: id, type: number}, {name: name MASK}]
tiers: TIERS
"""
MOVE = """
DO $$ DECLARE moved int; BEGIN
    FOR n IN 1..500 LOOP
        moved := floor(random() * ROWS)::int * 3 + 1;
        UPDATE orders SET id = -id WHERE id = moved;
        UPDATE orders SET changed = changed + 1 WHERE id = moved + 300;
        DELETE FROM orders WHERE id = moved + 3000;
        INSERT INTO orders VALUES (moved + 1, 'new') ON CONFLICT DO NOTHING;
        COMMIT;
        PERFORM pg_sleep(0.005);
    END LOOP;
END $$;
"""


class World(NamedTuple):
    """The functions and the database that they read."""

    cloud: LocalCloud
    database: DatabaseServer
    ports: Ports
    """Those of the sweeper, with its role."""
    folder: Path

    @property
    def url(self) -> str:
        return self.cloud.host.doors["api_domain"].url

    def ask(self, dataset: str, **body: object) -> httpx.Response:
        token = token_of(tenant="acme")
        body = {"format": "csv", **body}
        return CALLER.post(f"{self.url}/v1/datasets/{dataset}/exports", json=body, headers=token, timeout=GIVE_UP_S)

    def row(self, task_id: str) -> Task:
        task = self.ports.tasks.read(TaskRef(TenantId("acme"), TaskId(task_id)))
        assert task is not None
        return task


def token_of(*, tenant: str, permissions: tuple[str, ...] = ()) -> dict[str, str]:
    claims = {"sub": "ann", "tenant": tenant, "permissions": permissions, "exp": time.time() + 3600}
    return {"Authorization": f"Bearer {jwt.encode(claims, USERS_SECRET, algorithm='HS256')}"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, port = tmp_path_factory.mktemp("cloud"), free_port()
    definitions = folder / "tables"
    for name in ("connections", "datasets"):
        (definitions / name).mkdir(parents=True)
    password = "password: ${secret:crm-db}\n"
    (definitions / "connections/crm.yaml").write_text(CONNECTION.replace("PORT", str(port)) + password)
    few = DATASET.replace("MASK", ", mask: last4").replace("TIERS", "{direct_rows: 10, direct_timeout_s: 60}")
    (definitions / "datasets/few.yaml").write_text(few.replace("NAME", "few"))
    orders = DATASET.replace("MASK", "").replace("TIERS", "{direct_rows: 0, waited_rows: 0}")
    (definitions / "datasets/orders.yaml").write_text(orders.replace("NAME", "orders"))
    overrides = {**WAITS, "SLUICE_SECRETS": json.dumps({"crm-db": PASSWORD})}
    with serving_postgresql(port=port) as database, _local(folder, overrides, definitions) as cloud:
        database(f"CREATE USER exporter PASSWORD '{PASSWORD}';")
        database(
            "CREATE TABLE few (id int PRIMARY KEY, name text); INSERT INTO few VALUES (1, '王伟'), (2, '12345678');"
        )
        database("CREATE TABLE orders (id int PRIMARY KEY, name text, changed int DEFAULT 0);")
        database("GRANT SELECT ON few, orders TO exporter;")
        with sweeper_ports(cloud) as ports:
            yield World(cloud, database, ports, folder)


@contextmanager
def _local(folder: Path, overrides: dict[str, str], definitions: Path) -> Iterator[LocalCloud]:
    # The source tree: that the layers are enough for it is tested where layers are built.
    with local_cloud(folder, overrides=overrides, interpreter=source_tree(), definitions=definitions) as cloud:
        yield cloud


@contextmanager
def sweeper_ports(cloud: LocalCloud) -> Iterator[Ports]:
    """What the sweeping function has, in this process: thirty more starts would prove nothing more."""
    functions = cloud.host.deployment.functions
    key = cloud.keys.of(functions["sweep"].name)
    call = f"{cloud.host.interface.url}/2023-03-30/functions/{{}}/invocations"
    env = {
        **deploy_variables(cloud.oss, cloud.ots),
        **WAITS,
        "SLUICE_OSS_ACCESS_KEY_ID": key.access_key_id,
        "SLUICE_OSS_ACCESS_KEY_SECRET": key.access_key_secret,
        "SLUICE_OSS_SECURITY_TOKEN": key.security_token,
        "SLUICE_FUNCTIONS_INVOKER": "http",
        "SLUICE_FUNCTIONS_COMPOSE_URL": call.format(functions["compose"].name),
        "SLUICE_FUNCTIONS_EXTRACT_URL": call.format(functions["extract"].name),
    }
    with open_cloud(settings_from(env, None, CLOUD), RecordedJournal()) as ports:
        yield ports


@contextmanager
def repeating(work: Callable[[], object], *, pause_s: float = 0) -> Iterator[None]:
    """Do it again and again until the context ends."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(pause_s):
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def sweep_until(world: World, done: Any) -> None:
    """Sweep while no reader is under way: the platform starts one that crashed once more by itself."""
    give_up_at = time.monotonic() + GIVE_UP_S
    while not done():
        assert time.monotonic() < give_up_at
        if world.cloud.host.calls["extract"].settle(0):
            sweep_tasks(world.ports)
        time.sleep(0.1)


def rows_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


def assert_no_secret_is_seen(world: World) -> None:
    """Neither in a log nor in what is stored; what was asked is in the relay's log."""
    for log in world.folder.glob("*.log"):
        text = log.read_text(encoding="utf-8")
        assert text
        assert PASSWORD not in text
        assert USERS_SECRET not in text
    assert not [key for key in world.cloud.oss.keys(INPUT) if PASSWORD.encode() in world.cloud.oss.content(INPUT, key)]
    asked = [
        line["fields"]
        for line in map(json.loads, (world.folder / "relay_http.log").read_text().splitlines())
        if line["event"] == "DatasetAsked"
    ]
    assert {(one["user"], one["tenant"]) for one in asked} == {("ann", "acme")}


def test_a_user_gets_a_small_table_in_the_answer_although_the_call_for_its_reader_was_lost(world: World) -> None:
    world.cloud.host.calls["extract"].plan(0)
    with repeating(lambda: world.cloud.host.invoke("sweep", b'{"payload":"sweep"}'), pause_s=1):
        answer = world.ask("few")
    assert answer.status_code == 200, answer.text
    assert rows_of(answer.content) == [["id", "name"], ["1", "***"], ["2", "***5678"]]
    assert answer.headers["sluice-rows"] == "2"
    assert_no_secret_is_seen(world)


@pytest.mark.long
def test_a_table_whose_reader_dies_thirty_times_while_others_write_is_read_once(world: World) -> None:
    """Each reader is killed at its first or second batch, before or after the batch is stored; the last is doubled.

    Of the killed ones half had stored a batch that no claim names, and some of those land after the next has begun.
    """
    host, ids = world.cloud.host, f"generate_series(0, {ROWS - 1}) n, (VALUES (0), (1)) kind (k)"
    world.database(f"INSERT INTO orders SELECT n * 3 + k, 'row ' || (n * 3 + k) FROM {ids};")
    with repeating(lambda: world.database(MOVE.replace("ROWS", str(ROWS)))):
        host.calls["extract"].plan(0)
        opened = world.ask("orders")
        assert opened.status_code == 202, opened.text
        task_id = opened.json()["task_id"]
        for number in range(KILLS):
            hold = Hold(before=number % 4 < 2)
            world.cloud.oss.faults.add(Fault(hold, operation="PutObject", key=f"*{task_id}*.chunk", after=number % 2))
            sweep_until(world, lambda hold=hold: hold.is_reached)
            assert host.events["extract"].kill_running() == 1, "who comes second finds nothing to do"
            hold.release()
        host.triggers["compose/manifests"].plan(NEVER)
        host.calls["extract"].plan(2)
        sweep_until(world, lambda: world.row(task_id).state is State.COMPLETED)
    task = world.row(task_id)
    content = world.cloud.oss.content("sluice-local-out-1000000000000001", task.result_key)
    _, *rows = rows_of(content)
    numbers, names = [int(row[0]) for row in rows], [row[1] for row in rows if row[1] != "new"]
    assert numbers == sorted(set(numbers)), "no key twice, and all in their order"
    still = [one for one in numbers if one % STILL == 0]
    assert still == list(range(0, ROWS * STILL, STILL)), "each row that stays where it is"
    assert task.total_rows == task.result_rows == len(rows)
    assert task.epoch > KILLS
    assert len(names) == len(set(names)), "each row that was moved at most once"
    runs = [json.loads(run.payload) for run in host.invocations("extract") if run.outcome == "success"]
    outcomes = [run["outcome"] for run in runs if run["task_id"] == task_id]
    assert outcomes.count("completed") == 1
    assert set(outcomes) <= {"completed", "busy", "dropped"}
    assert_no_secret_is_seen(world)
