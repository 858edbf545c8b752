"""The mixin for django-import-export: a real site over SQLite, used through its pages, and a real service."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from python_calamine import CalamineWorkbook

from sluice.client import Client
from tests.support.page_examples import examples
from tests.support.running_service import ServiceProcess, eventually, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients/django-import-export"
SITE = Path(__file__).parent / "django_site"
ORDERS = 12_000


class Site:
    """A site whose process may be ended and started again over the same database."""

    def __init__(self, here: Path, service: str) -> None:
        self.here = here
        self._service = service
        shutil.copytree(SITE / "shop", here / "shop")
        page = examples(PACKAGE / "README.md", "python")["admin"]
        (here / "shop/admin.py").write_text(f"{page}\nfrom shop import more_admin\n", encoding="utf-8")
        self.start()

    def start(self) -> None:
        with (self.here / "log").open("ab") as log:
            command = [sys.executable, str(SITE / "site.py"), str(self.here), self._service]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, (self.here / "log").read_text()

    def user(self, name: str = "admin") -> httpx.Client:
        """A browser in which this user has logged in."""
        browser = httpx.Client(base_url=self.url, verify=False, trust_env=False, timeout=100)
        token = field("csrfmiddlewaretoken", browser.get("/admin/login/").text)
        form = {"username": name, "password": name, "csrfmiddlewaretoken": token}
        answer = browser.post("/admin/login/?next=/admin/", data=form)
        assert answer.status_code == 302, answer.text
        return browser

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def field(name: str, page: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, page
    return found[1]


def form_of(page: str, format_name: str, *, left_out: tuple[str, ...] = ()) -> dict[str, Any]:
    """The form of a page as it is first shown, with a format chosen and some columns left out."""
    (number,) = re.findall(rf'<option value="(\d+)"[^>]*>{format_name}</option>', page)
    boxes = re.findall(r'<input type="checkbox" name="(\w+resource_\w+)"', page)
    form = {box: "on" for box in boxes if not box.endswith(left_out or ("-",))}
    hidden = {name: field(name, page) for name in ("csrfmiddlewaretoken", "sluice_run")}
    items = re.findall(r'name="export_items" value="(\d+)"', page)
    return {
        **hidden,
        **form,
        "format": number,
        "resource": "0",
        **({"export_items": items} if items else {}),
    }


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with serving(tmp_path_factory.mktemp("django") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def site(service: ServiceProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"), service.url)
    try:
        yield site
    finally:
        site.end()


WITHOUT_OPENPYXL = f"""
import sys
sys.modules["openpyxl"] = None
sys.path[:0] = [{str(PACKAGE)!r}]
from django.conf import settings
import django
apps = ("admin", "auth", "contenttypes", "sessions", "messages")
settings.configure(INSTALLED_APPS=[*(f"django.contrib.{{app}}" for app in apps), "import_export"])
django.setup()
from import_export.formats.base_formats import CSV, TSV, XLSX
from sluice_import_export.admin import SluiceExportMixin
class Few(SluiceExportMixin):
    export_formats = [CSV, TSV]
class Both(SluiceExportMixin):
    export_formats = [CSV, XLSX]
for admin in (SluiceExportMixin(), Few(), Both()):
    print([one().get_title() for one in admin.get_export_formats()][:3])
"""


def test_xlsx_is_offered_without_openpyxl() -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT_OPENPYXL], capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines() == ["['csv', 'xlsx', 'tsv']", "['csv', 'tsv']", "['csv', 'xlsx']"], ended.stderr


WHILE_ROWS_COME_AND_GO = f"""
import sys
sys.path[:0] = [{str(PACKAGE)!r}]
from django.conf import settings
import django
apps = ("admin", "auth", "contenttypes", "sessions", "messages")
databases = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
settings.configure(INSTALLED_APPS=[*(f"django.contrib.{{app}}" for app in apps), "import_export"], DATABASES=databases)
django.setup()
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from import_export import resources
from sluice_import_export.table import Table
call_command("migrate", verbosity=0)
User.objects.bulk_create([User(username=f"user {{number}}") for number in range(1000)])
User.objects.last().groups.add(Group.objects.create(name="buyers"))
class Users(resources.ModelResource):
    class Meta:
        model = User
        fields = ("id", "groups")
        chunk_size = 100
def read(order, change):
    before, gone, found = set(User.objects.values_list("pk", flat=True)), set(), []
    users = User.objects.order_by(order).prefetch_related("groups")
    for number, row in enumerate(Table(Users(), users, selected=None, format_name="csv", given={{}}).rows()):
        if number % 100 == 50:
            change(number, gone)
        found.append(row[0])
    print(len(found) - len(set(found)), len(before - gone - set(found)), row[1])
def come(number, gone):
    User.objects.create(username=f"new {{number}}")
def go(number, gone):
    first = User.objects.order_by("pk").first()
    gone.add(first.pk)
    first.delete()
read("-pk", come)
read("pk", go)
with CaptureQueriesContext(connection) as queries:
    read("-pk", lambda number, gone: None)
print(len(queries))
"""


def test_each_row_of_a_query_that_prefetches_is_there_once_while_others_come_and_go() -> None:
    ended = subprocess.run([sys.executable, "-c", WHILE_ROWS_COME_AND_GO], capture_output=True, text=True, check=False)
    *read, queries = ended.stdout.splitlines() or [ended.stderr]
    assert [line.split()[:2] for line in read] == [["0", "0"]] * 3, ended
    assert int(queries) == 2 + 10, "rows are prefetched in chunks"


TWO_REQUESTS = (
    WHILE_ROWS_COME_AND_GO.partition("def read(")[0]
    + """
from sluice.client import Client
from sluice_import_export.admin import send_whole
def send(key, rows, meanwhile=lambda export, number: None):
    class Some(Table):
        def rows(self):
            for number, row in enumerate(super().rows()):
                meanwhile(opened[0], number)
                yield row
    opened = []
    table = Some(Users(), User.objects.order_by("pk")[:rows], selected=None, format_name="csv", given={})
    how = {"format": "csv", "filename": "users.csv", "options": {}, "idempotency_key": key}
    with Client(sys.argv[1]) as client:
        return send_whole(client, table, on_open=opened.append, **how).wait()
User.objects.bulk_create([User(username=f"more {number}") for number in range(11_000)])
def fails(at):
    def meanwhile(export, number):
        if number == at:
            raise RuntimeError("the database closed the connection")
    return meanwhile
def refused(call):
    try:
        call()
    except RuntimeError as error:
        print(error)
def second(export, number):
    if number == 11_000:
        while export.status().batches < 2:
            pass
        refused(lambda: send("beside", 12_000, fails(6_000)))
print(send("beside", 12_000, second).rows_written)
def first(export, number):
    if number == 7_000:
        print(send("closed", 6_000).rows_written)
        raise RuntimeError("the database closed the connection")
refused(lambda: send("closed", 12_000, first))
print(send("closed", 6_000).rows_written, send("more", 6_000).rows_written, send("more", 6_001).rows_written)
"""
)


def test_a_request_that_fails_leaves_alone_what_another_of_its_form_sends_or_has_closed(
    service: ServiceProcess,
) -> None:
    command = [sys.executable, "-c", TWO_REQUESTS, service.url]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    failed = "the database closed the connection"
    said = [failed, "12000", "6000", failed, "6000 6000 6000"]
    assert ended.stdout.splitlines() == said, ended.stderr


def exports_of(service: ServiceProcess) -> int:
    with Client(service.url) as client:
        return len(list(client.list()))


def file_of(browser: httpx.Client, service: ServiceProcess, answer: httpx.Response) -> tuple[str, bytes]:
    """The page of the export that an answer leads to, and its file once it is there."""
    assert answer.status_code == 302, answer.text[-6000:]
    page = answer.headers["location"]
    shown = browser.get(page)
    assert shown.status_code == 200
    with Client(service.url) as client:
        client.export(page.rstrip("/").rpartition("/")[2]).wait()
    link = browser.get(f"{page}?file").headers["location"]
    return shown.text, httpx.get(link, verify=False, trust_env=False).content


def test_the_page_s_example_exports_what_is_filtered_with_types_and_only_the_columns_that_are_ticked(
    site: Site, service: ServiceProcess
) -> None:
    browser = site.user("seller")
    address = "/admin/shop/order/export/?paid__exact=1"
    form = form_of(browser.get(address).text, "xlsx", left_out=("_at",))
    page, content = file_of(browser, service, browser.post(address, data=form))
    assert re.search(rf'<sluice-export watch="{service.url}/v1/watch/[^"]+"></sluice-export>', page)
    (script,) = re.findall(r'<script type="module" src="([^"]+)"', page)
    assert browser.get(script).content == (ROOT / "clients/web/sluice-export.js").read_bytes()
    rows = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    assert rows[0] == ["id", "customer", "amount", "paid", "day", "total"]
    newest = ORDERS - 2  # of those that are paid; the admin shows the newest first
    assert rows[1][:4] == [newest, f"客户 {newest}", newest / 4, True]
    assert [str(cell) for cell in rows[1][4:]] == ["2026-11-30", str(newest / 2)]
    assert len(rows) == 1 + ORDERS // 3


def test_selected_objects_are_exported_with_texts_where_a_type_is_not_sure(site: Site, service: ServiceProcess) -> None:
    browser = site.user()
    listed = browser.get("/admin/shop/odd/?o=1")
    action = {"action": "export_admin_action", "_selected_action": ["1", "2", "3"]}
    token = field("csrfmiddlewaretoken", listed.text)
    shown = browser.post("/admin/shop/odd/?o=1", data={**action, "csrfmiddlewaretoken": token}).text
    answer = browser.post("/admin/shop/odd/export/?o=1", data=form_of(shown, "csv"))
    content = file_of(browser, service, answer)[1].decode("gbk")
    rows = list(csv.reader(io.StringIO(content)))
    assert rows[0] == ["id", "Day", "Price", "Share"]
    assert sorted(rows[1:]) == [["1", "", "0.25", "nan"], ["2", "30.11.2026", "0.50", "0.5"]]


GONE = ORDERS - 5_000
CHANGES = {
    "": ("SELECT 1", "SELECT 1"),
    "another row": (
        f"UPDATE shop_order SET customer = 'changed' WHERE id = {ORDERS}",
        f"UPDATE shop_order SET customer = '客户 {ORDERS}' WHERE id = {ORDERS}",
    ),
    "fewer rows": (
        f"CREATE TABLE gone AS SELECT * FROM shop_order WHERE id <= {GONE}; DELETE FROM shop_order WHERE id <= {GONE}",
        "INSERT INTO shop_order SELECT * FROM gone; DROP TABLE gone",
    ),
}
"""What happens to the table meanwhile, and what makes it as it was."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_form_that_is_sent_again_after_a_kill_goes_on_unless_rows_changed_and_a_new_form_begins_anew(
    site: Site, service: ServiceProcess, change: str
) -> None:
    def database(statements: str) -> None:
        with closing(sqlite3.connect(site.here / "site.sqlite3")) as connected:
            connected.executescript(statements)

    (site.here / "killed").unlink(missing_ok=True)
    exports = exports_of(service)
    browser = site.user()
    address = "/admin/shop/killed/export/"
    form = form_of(browser.get(address).text, "csv")
    with suppress(httpx.TransportError):
        browser.post(address, data=form)
    assert site.process.wait(10) == -9
    site.end()
    database(CHANGES[change][0])
    site.start()
    browser.base_url = httpx.URL(site.url)
    content = file_of(browser, service, browser.post(address, data=form))[1].decode("utf-8-sig")
    sent = exports + 1 + bool(change)
    assert exports_of(service) == sent, "both runs sent the same export, unless rows changed"
    lines = content.splitlines()[1:]
    last = GONE if change == "fewer rows" else 0
    assert [int(line.partition(",")[0]) for line in lines] == list(range(ORDERS, last, -1))
    assert change != "another row" or lines[0] == f"{ORDERS},changed"
    assert browser.post(address, data=form).status_code == 302
    assert exports_of(service) == sent
    assert browser.post(address, data={**form, "sluice_run": f"another {change}"}).status_code == 302
    assert exports_of(service) == sent + 1
    database(CHANGES[change][1])


def test_permissions_are_those_of_the_admin_and_a_page_is_for_who_asked(site: Site) -> None:
    seller, clerk, admin = (site.user(name) for name in ("seller", "clerk", "admin"))
    address = "/admin/shop/order/export/"
    form = form_of(seller.get(address).text, "csv")
    page = seller.post(address, data=form).headers["location"]
    assert [user.get(page).status_code for user in (seller, clerk, admin)] == [200, 403, 404]
    assert seller.get(page.replace("/order/", "/odd/")).status_code == 403
    token = field("csrfmiddlewaretoken", clerk.get("/admin/shop/order/").text)
    assert clerk.post(address, data={**form, "csrfmiddlewaretoken": token}).status_code == 403


def test_what_the_mixin_does_not_follow_is_left_to_the_package(site: Site, service: ServiceProcess) -> None:
    exports = exports_of(service)
    browser = site.user()
    address = "/admin/shop/odd/export/?o=1"
    answer = browser.post(address, data=form_of(browser.get(address).text, "json"))
    assert answer.headers["content-type"] == "application/json"
    assert {row["Day"] for row in answer.json()} == {"", "30.11.2026"}
    whole = browser.get("/admin/shop/whole/export/")
    assert (whole.headers["content-type"], whole.text.split()) == ("text/csv", ["id", "2", "1", "sum"])
    assert (
        "WholeAdmin is exported without Sluice, because it has its own ['after_export']"
        in (site.here / "log").read_text()
    )
    assert exports_of(service) == exports


def test_rows_sent_in_the_background_are_followed_on_the_page_to_the_file_or_to_why_there_is_none(
    site: Site, service: ServiceProcess
) -> None:
    browser = site.user()
    answer = browser.get("/admin/shop/behind/export/")
    assert "open, " in browser.get(answer.headers["location"]).text
    (site.here / "go").touch()
    rows = file_of(browser, service, answer)[1].decode().splitlines()
    assert json.loads(rows[0]) == {"id": "3", "at": "2026-11-30T08:00:03"}
    (site.here / "fail").touch()
    failed = browser.get("/admin/shop/behind/export/").headers["location"]
    eventually(lambda: "cancelled, " in browser.get(failed).text)
    eventually(lambda: "RuntimeError: no such price" in (site.here / "log").read_text())


def test_a_refusal_is_shown_above_the_same_form(site: Site) -> None:
    browser = site.user()
    (site.here / "refused").touch()
    form = form_of(browser.get("/admin/shop/odd/export/").text, "csv")
    answer = browser.post("/admin/shop/odd/export/", data=form)
    assert answer.status_code == 200
    assert "INVALID_REQUEST: " in answer.text
    assert field("sluice_run", answer.text) == form["sluice_run"]
    (site.here / "refused").unlink()


def test_the_wheel_has_the_page_and_the_element(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", tmp_path, PACKAGE], check=True)
    (wheel,) = tmp_path.glob("sluice_django_import_export-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        element = archive.read("sluice_import_export/static/sluice_import_export/sluice-export.js")
    assert element == (ROOT / "clients/web/sluice-export.js").read_bytes()
    own = {str(file.relative_to(PACKAGE)) for file in (PACKAGE / "sluice_import_export").rglob("*.*")}
    assert {name for name in own if not name.endswith(".pyc")} <= names
