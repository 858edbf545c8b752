"""`<sluice-export-dialog>` over a dataset, in a real browser: a page of another origin, a user's token, three sizes."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from python_calamine import CalamineWorkbook

from tests.senders.test_browser import FOLDER, POLICY, SCRIPT, WEB, browsed
from tests.support.flaky_proxy import TROUBLES, flaky_proxy
from tests.support.http_calls import CALLER
from tests.support.npm_packages import install_packages
from tests.support.page_examples import examples
from tests.support.programs import skip_without
from tests.support.running_service import QUICK, ServiceProcess, serving
from tests.support.scripted_server import Answer, Asked, ScriptedServer, scripted_server

pytestmark = pytest.mark.slow

SECRET = "a secret of the application, of 32 bytes or more"
ROWS = 60
DOCS = Path(__file__).parents[2] / "docs/datasets.md"
ORDERS = """
dataset: NAME
source: {connection: app, table: orders, key: [id], consistency: key}
columns:
  - {name: id, type: number, label: Order id}
  - {name: email, label: E-mail, mask: email, unmask_with: "orders:pii"}
  - {name: amount, type: number}
  - {name: cost, type: number, permission: "orders:cost"}
  - {name: state, label: State}
permission: "orders:read"
rows: {tenant_id: ":user.tenant"}
filters: {ids: id, date: created_at, equals: [state]}
tiers: {direct_rows: 10, waited_rows: 30}
limits: {ids: 2}
"""
DATASETS = {
    "orders": ORDERS,
    "hidden": ORDERS.replace("orders:read", "orders:secret"),
    "broken": ORDERS.replace("amount", "none_such"),
    "narrow": ORDERS.replace("{ids: 2}", "{ids: 2, rows: 50}"),
    "scarce": ORDERS.replace("{ids: 2}", "{per_user_hour: 1}").replace("waited_rows: 30", "waited_rows: 100"),
}
PATIENT = {
    **QUICK,
    "SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS": "1",
    "SLUICE_CONCURRENCY_LEASE_S": "600",
    "SLUICE_CONCURRENCY_TRIGGER_GRACE_S": "600",
    "SLUICE_SECURITY_JWT_SECRET": SECRET,
}
"""A composer that is stopped stays so, and is not replaced."""
PAGE = """<!doctype html>
<html lang="{language}"><head><title>Orders</title><meta charset="utf-8"><link rel="icon" href="data:,">
<script src="/before.js"></script><script type="module" src="/sluice-export-dialog.js"></script></head>
<body><main><h1>Orders</h1><sluice-export-dialog dataset="{dataset}" filename="订单">
  <select hidden name="state" title="State of the order"><option value="paid">Paid</option><option value="open">Open
  </option></select></sluice-export-dialog></main></body></html>"""
BEFORE = b"""
window.ready = [];
addEventListener('sluice-ready', (event) => window.ready.push(event.detail.rows_written));
addEventListener('DOMContentLoaded', () => {
  const dialog = document.querySelector('sluice-export-dialog');
  const asked = new URLSearchParams(location.search);
  dialog.selected = asked.get('selected')?.split(',').map(Number);
  let token;
  dialog.getToken = async ({ refused }) => {
    if (token === undefined || refused) {
      token = await (await fetch(`/token?as=${asked.get('as') ?? ''}&again=${refused ? 'yes' : ''}`)).text();
    }
    return token;
  };
});
"""
"""A script that runs before the element is known: what it sets has to stay."""


def order(number: int) -> tuple[Any, ...]:
    state = "paid" if number % 2 else "open"
    return number, "acme", f"user{number}@example.com", number / 4, 1, state, f"2026-03-{number % 28 + 1:02} 10:00"


def token(user: str, *, ends_in_s: float = 600) -> str:
    claims = {"sub": user, "tenant": "acme", "permissions": ["orders:read"], "exp": time.time() + ends_in_s}
    return jwt.encode(claims, SECRET, algorithm="HS256")


class TableShop:
    """The application: it has the pages and the tokens of its users, and no key of the service."""

    def __init__(self) -> None:
        self.user = "ann"
        self.service_url = ""
        self.service: ServiceProcess | None = None

    def answer(self, asked: Asked) -> Answer:
        path, _, query = asked.path.partition("?")
        known = {module.name: module.read_bytes() for module in WEB.glob("*.js")} | {"before.js": BEFORE}
        if path.removeprefix("/") in known:
            return Answer(200, known[path.removeprefix("/")], SCRIPT)
        if path == "/token":
            # The first one is over already, as that of a page that was open for long.
            user = "" if "as=stranger" in query else query.partition("as=")[2].partition("&")[0] or self.user
            return Answer(200, token(user, ends_in_s=600 if "again=yes" in query else -600).encode())
        if path in {"/stop", "/go-on"}:
            self.signal_composer(signal.SIGSTOP if path == "/stop" else signal.SIGCONT)
            return Answer(204, b"")
        language, _, name = path.removeprefix("/").partition("/")
        html = PAGE.format(language=language or "en", dataset=f"{self.service_url}/v1/datasets/{name or 'orders'}")
        policy = {"content-security-policy": POLICY.format(url=self.service_url), "content-type": "text/html"}
        return Answer(200, html.encode(), policy)

    def signal_composer(self, number: int) -> None:
        assert self.service is not None
        [started] = self.service.events("WorkerStarted")
        os.kill(int(started["fields"]["pid"]), number)  # type: ignore[index]  # a log line's fields are a mapping


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TableShop, ScriptedServer]]:
    skip_without("chromium")
    install_packages(FOLDER, last=FOLDER / "node_modules/playwright-core/index.js", what="the browser's driver")
    folder = tmp_path_factory.mktemp("definitions")
    for name in ("connections", "datasets"):
        (folder / name).mkdir()
    (folder / "connections/app.yaml").write_text("name: app\ntype: sqlite\npath: shop.db\n")
    for name, text in DATASETS.items():
        (folder / f"datasets/{name}.yaml").write_text(text.replace("NAME", name))
    with closing(sqlite3.connect(folder / "shop.db")) as db:
        columns = "id INTEGER PRIMARY KEY, tenant_id, email, amount REAL, cost INTEGER, state, created_at"
        db.execute(f"CREATE TABLE orders ({columns})")
        db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", map(order, range(1, ROWS + 1)))
        db.commit()
    shop = TableShop()
    with ExitStack() as running:
        server = running.enter_context(scripted_server(shop.answer))
        env = {**PATIENT, "SLUICE_DATASETS_ALLOWED_ORIGINS": server.url}
        arguments = ("--definitions", str(folder))
        shop.service = running.enter_context(serving(folder / "data", env=env, arguments=arguments))
        shop.service_url = shop.service.url
        yield shop, server


def had(shop: TableShop, user: str) -> list[dict[str, Any]]:
    """The exports that the service has of a user, newest first."""
    assert shop.service is not None
    bearer = {"Authorization": f"Bearer {token(user)}"}
    answer = CALLER.get(f"{shop.service.url}/v1/datasets/orders/exports", headers=bearer)
    found: list[dict[str, Any]] = answer.json()["exports"]
    return found


def rows_of(file: Path) -> list[list[str]]:
    return list(csv.reader(file.read_text("utf-8-sig").splitlines()))


def test_three_sizes_by_keyboard_and_a_user_who_comes_back(
    application: tuple[TableShop, ScriptedServer], tmp_path: Path
) -> None:
    shop, server = application
    shop.user = "ann"
    try:
        said = browsed(server.url, str(tmp_path), script="dataset.mjs")
    finally:
        shop.signal_composer(signal.SIGCONT)
    checks = [one for one in said if "axe" in one]
    assert checks == [
        {"axe": where, "found": []} for where in ("before", "chosen in", "saved", "while it runs", "after")
    ]
    masked = ["Order id", "E-mail (masked)", "amount", "State"]
    waiting = "Waiting for its turn…"
    assert [one for one in said if "axe" not in one] == [
        {
            "columns": masked,
            "hint": ["Of masked columns the file shows a part of each value.", "None ticked: all of them."],
            "formats": ["Excel (.xlsx)", "CSV (.csv)"],
        },
        {"choices": ["Paid", "Open"], "scope": False},
        {"saved": "订单.csv", "status": "The file was downloaded: 订单.csv", "ready": 5},
        {"saved": "订单.csv"},
        {"ready": 16},
        {"status": waiting},
        {"closed": "Export…", "state": "The export goes on."},
        {"again": waiting, "last": "Your last export:"},
        {"status": "The file is ready.", "link": "Download 订单.xlsx", "kept": True},
        {"saved": "订单.xlsx", "ready": ROWS},
        {"found": "Download 订单.xlsx", "ready": 0},
    ]
    orders = [order(number) for number in range(1, ROWS + 1)]
    few = [one for one in orders if one[6][:10] in {"2026-03-05", "2026-03-06"}]
    header, *rows = rows_of(tmp_path / "small")
    assert header == ["Order id", "amount", "State"]
    assert [(int(row[0]), float(row[1]), row[2]) for row in rows] == [(one[0], one[3], one[5]) for one in few]
    paid = [one for one in orders if one[5] == "paid" and one[6] < "2026-03-15"]
    assert [int(row[0]) for row in rows_of(tmp_path / "medium")[1:]] == [one[0] for one in paid]
    (tmp_path / "large").rename(tmp_path / "large.xlsx")
    sheet = CalamineWorkbook.from_path(str(tmp_path / "large.xlsx")).get_sheet_by_index(0).to_python()
    assert sheet[0] == ["Order id", "amount", "State"], "what was not ticked is in no file until it is"
    assert [row[:2] for row in sheet[1:]] == [[one[0], one[3]] for one in orders]
    assert [one["rows_written"] for one in had(shop, "ann")] == [ROWS, 16, 5], (
        "a click is one export, pressed twice or not"
    )


SENTENCES = {
    "en": {
        "DATASET_NOT_FOUND": "This cannot be exported now: this export is not offered to you; ask who runs this "
        "application (DATASET_NOT_FOUND)",
        "UNAUTHENTICATED": "This cannot be exported now: you are not signed in any more; sign in and try again "
        "(UNAUTHENTICATED)",
        "SOURCE_INVALID": "There will be no file: the table cannot be read as it is defined; its operator must see to "
        "it (SOURCE_INVALID)",
        "TOO_MANY_ROWS": "There will be no file: there are more rows than one file may have; export fewer "
        "(TOO_MANY_ROWS)",
        "RATE_LIMITED": r"There will be no file: you have made as many exports within an hour as you may \(1\); the "
        r"next is possible at \d+:\d\d.*\(RATE_LIMITED\)",
        "again": "Try again",
        "many": "At most 2 rows can be selected.",
        "backwards": "This day is before the first one.",
        "status": "The file was downloaded: 订单.xlsx",
        "form": [
            "Format", "Columns", "All columns", "Order id", "E-mail (masked)", "amount", "State",
            "Of masked columns the file shows a part of each value.", "Rows", "Selected rows (3)", "All rows", "Days",
            "From", "To (included)", "State of the order", "Paid", "Open", "None ticked: all of them.", "File name",
        ],
    },
    "zh-CN": {
        "DATASET_NOT_FOUND": "暂时无法导出：您没有此项导出，请联系本应用的管理员 (DATASET_NOT_FOUND)",  # noqa: RUF001 -- Chinese
        "UNAUTHENTICATED": "暂时无法导出：登录已失效，请重新登录后再试 (UNAUTHENTICATED)",  # noqa: RUF001 -- Chinese
        "SOURCE_INVALID": "导出失败：数据表与定义不符，请联系管理员 (SOURCE_INVALID)",  # noqa: RUF001 -- Chinese
        "TOO_MANY_ROWS": "导出失败：数据行数超出一个文件的上限，请减少导出的行数 (TOO_MANY_ROWS)",  # noqa: RUF001 -- Chinese
        "RATE_LIMITED": r"导出失败：一小时内最多导出 1 次，\d+:\d\d 之后可再次导出 \(RATE_LIMITED\)",  # noqa: RUF001 -- Chinese
        "again": "重试",
        "many": "最多可选择 2 行。",
        "backwards": "结束日期早于开始日期。",
        "status": "文件已下载：订单.xlsx",  # noqa: RUF001 -- Chinese
        "form": [
            "格式", "列", "全部列", "Order id", "E-mail（已脱敏）", "amount", "State",  # noqa: RUF001 -- Chinese
            "已脱敏的列只显示每个值的一部分。", "数据行", "所选行（3）", "全部行", "日期",  # noqa: RUF001 -- Chinese
            "从", "至（含当日）", "State of the order", "Paid", "Open", "不勾选即为全部。", "文件名",  # noqa: RUF001 -- Chinese
        ],
    },
}  # fmt: skip


def test_what_there_is_no_file_for_is_said_in_the_page_s_language_with_the_way_out(
    application: tuple[TableShop, ScriptedServer], tmp_path: Path
) -> None:
    shop, server = application
    shop.user = "eve"
    said = browsed(server.url, str(tmp_path), script="dataset_errors.mjs")
    for language, words in SENTENCES.items():
        shown = [{**one} for one in said if one["language"] == language]
        for one in shown:
            del one["language"]
        assert [next(iter(one)) for one in shown] == [
            "DATASET_NOT_FOUND", "submit", "UNAUTHENTICATED", "submit", "SOURCE_INVALID", "TOO_MANY_ROWS",
            "RATE_LIMITED", "form", "many", "backwards", "status",
        ]  # fmt: skip
        for one in shown:
            if "submit" in one:
                assert one == {"submit": False, "again": words["again"]}
            elif "RATE_LIMITED" in one:
                assert re.fullmatch(str(words["RATE_LIMITED"]), one["RATE_LIMITED"]), one
            else:
                [(name, text)] = one.items()
                assert text == words[name]
        (tmp_path / language).rename(tmp_path / f"{language}.xlsx")
        sheet = CalamineWorkbook.from_path(str(tmp_path / f"{language}.xlsx")).get_sheet_by_index(0).to_python()
        assert [row[:2] for row in sheet[1:]] == [[3, "u***@example.com"], [6, "u***@example.com"]]


def test_a_network_that_loses_calls_and_answers_makes_one_export_of_each_click(
    application: tuple[TableShop, ScriptedServer], tmp_path: Path
) -> None:
    shop, server = application
    assert shop.service is not None
    shop.user = "bob"
    with flaky_proxy(shop.service.http_port, only="POST") as proxy:
        shop.service_url = proxy.url
        try:
            said = browsed(server.url, str(tmp_path), script="dataset_cuts.mjs")
        finally:
            shop.service_url = shop.service.url
        assert set(TROUBLES) <= set(proxy.met)
    names = [f"cut-{number}.xlsx" for number in range(1, 5)]
    assert said == [{"saved": name} for name in names]
    assert [one["filename"] for one in had(shop, "bob")] == names[::-1], "one export for each click"
    for name in names:
        sheet = CalamineWorkbook.from_path(str(tmp_path / name)).get_sheet_by_index(0).to_python()
        assert len(sheet) == 1 + 5


DEFINED = re.compile(r"```yaml\n# (definitions/\S+)\n(.*?)```", re.DOTALL)
STARTED = re.compile(rb"Development Server \((http://127\.0\.0\.1:\d+)\) started")


@contextmanager
def php_site(folder: Path, **env: str) -> Iterator[str]:
    """PHP's own server over a folder; gives its address."""
    command = ["php", "-S", "127.0.0.1:0", "-t", str(folder)]
    with subprocess.Popen(command, env={**os.environ, **env}, stderr=subprocess.PIPE) as server:
        try:
            assert server.stderr is not None
            found = STARTED.search(server.stderr.readline())
            assert found
            yield found[1].decode()
        finally:
            server.kill()


def test_the_page_that_the_documentation_shows_gets_its_user_the_file(tmp_path: Path) -> None:
    """With its definitions, its token in PHP and its page, as they stand there, addresses apart."""
    skip_without("chromium")
    skip_without("php")
    install_packages(FOLDER, last=FOLDER / "node_modules/playwright-core/index.js", what="the browser's driver")
    shown = DOCS.read_text(encoding="utf-8")
    for place, text in DEFINED.findall(shown):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    with closing(sqlite3.connect(tmp_path / "definitions/shop.db")) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, email, amount REAL, paid, created_at)")
        db.execute("INSERT INTO orders VALUES (1, 'ann@example.com', 2.5, 1, '2026-03-01 10:00')")
        db.commit()
    site = tmp_path / "site"
    site.mkdir()
    for module in WEB.glob("*.js"):
        shutil.copy(module, site)
    (site / "token.php").write_text(examples(DOCS, "php")["token"])
    secret = {"SLUICE_SECURITY_JWT_SECRET": SECRET}
    with php_site(site, **secret) as url:
        env = {**QUICK, **secret, "SLUICE_DATASETS_ALLOWED_ORIGINS": url}
        arguments = ("--definitions", str(tmp_path / "definitions"))
        with serving(tmp_path / "data", env=env, arguments=arguments) as service:
            page = examples(DOCS, "html")["page"].replace("http://127.0.0.1:9091", service.url)
            (site / "orders.html").write_text(page)
            said = browsed(f"{url}/orders.html", str(tmp_path / "orders.xlsx"), script="dataset_page.mjs")
    assert said == [{"saved": "orders.xlsx"}]
    sheet = CalamineWorkbook.from_path(str(tmp_path / "orders.xlsx")).get_sheet_by_index(0).to_python()
    assert sheet[0] == ["Order id", "email", "amount", "paid", "created_at"]
    assert sheet[1][:3] == [1, "ann@example.com", 2.5]
