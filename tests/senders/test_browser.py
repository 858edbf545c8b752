"""`<sluice-export>` and its dialog in a real browser, on a page of another origin, with nothing but a watch address."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.client import Client, Export
from tests.senders.test_typescript import CODE
from tests.support.npm_packages import install_packages
from tests.support.page_examples import examples
from tests.support.programs import skip_without
from tests.support.running_service import QUICK, ServiceProcess, serving
from tests.support.scripted_server import Answer, Asked, scripted_server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "browser"
WEB = ROOT / "clients/web"
ELEMENT = (WEB / "sluice-export.js").read_bytes()
MODULES = ROOT / "clients/typescript/src"
WATCHING = f"""<!doctype html><title>Orders</title><meta charset="utf-8"><link rel="icon" href="data:,"><body>
<script type="importmap">{{"imports": {{"@sluice/client/watch": "/modules/watch.js"}}}}</script>
<script type="module">{CODE["watch"]}</script>"""
PAGE = """<!doctype html>
<html lang="{language}"><head><title>Orders</title><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="module" src="/sluice-export.js"></script>
<script>addEventListener('sluice-ready', (event) => {{ window.ready = event.detail.rows_written; }});</script></head>
<body><main><h1>Orders</h1><sluice-export action="/export"></sluice-export></main></body></html>"""
DIALOG_PAGE = """<!doctype html>
<html lang="{language}"><head><title>Orders</title><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="module" src="/sluice-export-dialog.js"></script><script src="/page.js"></script></head>
<body><main><h1>Orders</h1><sluice-export-dialog action="/export" formats="xlsx csv" filename="订单"
  options="style csv_encoding:gbk,utf-8 timezone"><data value="id">Number</data><data value="customer">客户</data>
  <data value="day">Day</data></sluice-export-dialog></main></body></html>"""
PAGE_SCRIPT = b"addEventListener('sluice-ready', (event) => { window.ready = event.detail.rows_written; });"
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self' {url}; img-src data:"
SCRIPT = {"content-type": "text/javascript"}
OPEN_CHOSEN: dict[str, Any] = {}
exec(examples(WEB / "README.md", "python")["dialog"], OPEN_CHOSEN)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    skip_without("chromium")
    install_packages(FOLDER, last=FOLDER / "node_modules/playwright-core/index.js", what="the browser's driver")
    with serving(tmp_path_factory.mktemp("browser") / "data", env=QUICK) as running:
        yield running


class Shop:
    """An application of its own origin: it opens exports with its own client, and its page knows no key."""

    def __init__(self, client: Client, language: str) -> None:
        self._client = client
        self._language = language
        self._export: Export | None = None

    def answer(self, asked: Asked) -> Answer:
        match asked.method, asked.path:
            case "GET", "/":
                return Answer(200, PAGE.format(language=self._language).encode(), {"content-type": "text/html"})
            case "GET", "/sluice-export.js":
                return Answer(200, ELEMENT, {"content-type": "text/javascript"})
            case "POST", "/export":
                assert "cookie" not in asked.headers
                self._export = self._client.open(format="csv", columns=["id"], filename="订单.csv", expected_rows=3)
                self._export.put(1, [["1"], ["2"]])
                return Answer(200, json.dumps({"watch_url": self._export.watch_url}).encode())
            case "POST", "/rows":
                assert self._export is not None
                self._export.put(2, [["3"]])
                self._export.close(batches=2, rows=3)
                return Answer(204, b"")
        return Answer(404)


@pytest.mark.parametrize(
    ("language", "collecting", "ready", "link"),
    [
        ("en", "Collecting rows: 2", "The file is ready.", "Download 订单.csv"),
        ("zh-CN", "正在接收数据：2 行", "文件已生成。", "下载 订单.csv"),  # noqa: RUF001 -- Chinese
    ],
)
def test_a_button_shows_progress_and_fetches_the_file(
    service: ServiceProcess, tmp_path: Path, language: str, collecting: str, ready: str, link: str
) -> None:
    with Client(service.url) as client, scripted_server(Shop(client, language).answer) as shop:
        said = browsed(shop.url, str(tmp_path / "saved.csv"), language)
    assert [one["error"] for one in said if "error" in one] == []
    assert [(one["axe"], one["found"]) for one in said if "axe" in one] == [
        ("before", []), ("while it runs", []), ("after", []),
    ]  # fmt: skip
    assert [one["status"] for one in said if "status" in one] == [collecting, ready]
    assert [one["link"] for one in said if "link" in one] == [link]
    assert said[-1] == {"saved": "订单.csv", "ready": 3}
    assert (tmp_path / "saved.csv").read_text("utf-8-sig") == "id\n1\n2\n3\n"


class DialogShop:
    """An application that asks what to export; its page allows no script but its own. It refuses twice at first."""

    REFUSED = (
        {"code": "QUEUE_FULL", "detail": "Too many exports are waiting; try again later.", "who": "client"},
        {"code": "HELD", "detail": "<img src=x> no exports at night"},
    )

    def __init__(self, client: Client, service: ServiceProcess, language: str) -> None:
        self._client = client
        html = {"content-type": "text/html", "content-security-policy": POLICY.format(url=service.url)}
        self._files = {
            "/": Answer(200, DIALOG_PAGE.format(language=language).encode(), html),
            "/page.js": Answer(200, PAGE_SCRIPT, SCRIPT),
            **{f"/{module.name}": Answer(200, module.read_bytes(), SCRIPT) for module in WEB.glob("*.js")},
        }
        self.chosen: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> Answer:
        match asked.method, asked.path:
            case "POST", "/export":
                self.chosen.append(json.loads(asked.body))
                if len(self.chosen) <= len(self.REFUSED):
                    return Answer(503, json.dumps(self.REFUSED[len(self.chosen) - 1]).encode())
                self._export = OPEN_CHOSEN["open_chosen"](self._client, self.chosen[-1])
                self._export.put(1, [[1, "2026-11-30"], [2, None]])
                return Answer(200, json.dumps({"watch_url": self._export.watch_url}).encode())
            case "POST", "/rows":
                self._export.close(batches=1, rows=2)
                return Answer(204, b"")
        return self._files.get(asked.path, Answer(404))


DIALOG_SAYS = {
    "en": {
        "missing": "Choose at least one column.",
        "full": "There will be no file: too many exports are waiting; try again later (QUEUE_FULL)",
        "held": "There will be no file: <img src=x> no exports at night (HELD)",
        "collecting": "Collecting rows: 2",
        "open": "Export…",
        "close": "Close",
        "running": "The export goes on.",
        "ready": "The file is ready: open the dialog to download it.",
        "link": "Download 订单-2026.csv",
        "there": "The file is ready.",
    },
    "zh-CN": {
        "missing": "请至少选择一列。",
        "full": "导出失败：排队的导出过多，请稍后再试 (QUEUE_FULL)",  # noqa: RUF001 -- Chinese
        "held": "导出失败：<img src=x> no exports at night (HELD)",  # noqa: RUF001 -- Chinese
        "collecting": "正在接收数据：2 行",  # noqa: RUF001 -- Chinese
        "open": "导出…",
        "close": "关闭",
        "running": "导出仍在进行。",
        "ready": "文件已生成，请打开对话框下载。",  # noqa: RUF001 -- Chinese
        "link": "下载 订单-2026.csv",
        "there": "文件已生成。",
    },
}


@pytest.mark.parametrize("language", DIALOG_SAYS)
def test_a_dialog_asks_what_to_export_and_may_be_closed_while_it_runs(
    service: ServiceProcess, tmp_path: Path, language: str
) -> None:
    words = DIALOG_SAYS[language]
    with Client(service.url) as client:
        shop = DialogShop(client, service, language)
        with scripted_server(shop.answer) as server:
            said = browsed(server.url, str(tmp_path / "saved.csv"), language, script="dialog.mjs")
    checks = [one for one in said if "axe" in one]
    assert checks == [{"axe": where, "found": []} for where in ("before", "chosen in", "while it runs", "after")]
    assert [one for one in said if "axe" not in one] == [
        {"opened": "format", "named": 1},
        {"style": True, "encoding": False},
        {"style": False, "encoding": True},
        {"at": "filename"},
        {"missing": words["missing"], "at": "id"},
        {"all": [False, True]},
        {"status": words["full"]},
        {"status": words["held"], "images": 0},
        {"status": words["collecting"], "focus": words["close"]},
        {"closed": words["open"], "state": words["running"]},
        {"again": words["collecting"], "focus": words["close"], "state": ""},
        {"ready": 2, "state": words["ready"], "focus": words["open"]},
        {"link": words["link"], "status": words["there"]},
        {"saved": "订单-2026.csv", "enabled": True},
    ]
    options = {"csv_encoding": "gbk", "timezone": "Asia/Shanghai"}
    chosen = {"format": "csv", "columns": ["id", "day"], "filename": "订单-2026", "options": options}
    assert shop.chosen == [chosen] * 3
    assert (tmp_path / "saved.csv").read_text("gbk") == "id,day\n1,2026-11-30\n2,\n"


def test_a_late_answer_about_another_export_is_not_shown(service: ServiceProcess) -> None:
    with Client(service.url) as client, scripted_server(Shop(client, "en").answer) as shop:
        assert browsed(shop.url, script="race.mjs") == [{"status": "Collecting rows: 7", "links": 0}]


def test_the_watching_example_of_the_javascript_client_works_without_a_bundler(service: ServiceProcess) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path == "/":
            return Answer(200, WATCHING.encode(), {"content-type": "text/html"})
        if asked.path.startswith("/modules/"):
            module = (MODULES / asked.path.removeprefix("/modules/")).read_bytes()
            return Answer(200, module, {"content-type": "text/javascript"})
        return shop.answer(asked)

    with Client(service.url) as client, scripted_server(answer) as server:
        shop = Shop(client, "en")
        said = browsed(server.url, script="watch.mjs")
    assert said == [{"title": "open, 2 rows"}, {"title": "completed, 3 rows", "saved": "订单.csv"}]


def browsed(url: str, *arguments: str, script: str = "run.mjs") -> list[dict[str, Any]]:
    node = shutil.which("node")
    assert node is not None
    command = [node, script, url, *arguments]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, (done.stdout[-2_000:], done.stderr[-2_000:])
    return [json.loads(line) for line in done.stdout.splitlines()]
