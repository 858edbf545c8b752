"""`<sluice-export>` in a real browser, on a page of another origin, with nothing but a watch address."""

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
from tests.support.programs import skip_without
from tests.support.running_service import QUICK, ServiceProcess, serving
from tests.support.scripted_server import Answer, Asked, scripted_server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "browser"
ELEMENT = (ROOT / "clients/web/sluice-export.js").read_bytes()
MODULES = ROOT / "clients/typescript/src"
WATCHING = f"""<!doctype html><title>Orders</title><meta charset="utf-8"><link rel="icon" href="data:,"><body>
<script type="importmap">{{"imports": {{"@sluice/client/watch": "/modules/watch.js"}}}}</script>
<script type="module">{CODE["watch"]}</script>"""
PAGE = """<!doctype html>
<html lang="{language}"><head><title>Orders</title><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="module" src="/sluice-export.js"></script>
<script>addEventListener('sluice-ready', (event) => {{ window.ready = event.detail.rows_written; }});</script></head>
<body><main><h1>Orders</h1><sluice-export action="/export"></sluice-export></main></body></html>"""


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
