"""A model of which a resource leaves out a field, sent from this process; arguments: columns, the service."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import django
from django.conf import settings

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "clients/django-import-export")]
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "import_export", "shop"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    MIGRATION_MODULES=dict.fromkeys(["auth", "contenttypes"]),
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command  # noqa: E402 -- needs the settings
from import_export.resources import ModelResource  # noqa: E402
from shop.models import Order  # noqa: E402
from sluice.client import Client  # noqa: E402
from sluice_import_export.table import Table  # noqa: E402


class People(ModelResource):
    class Meta:
        model = Order
        exclude = ("customer",)


call_command("migrate", run_syncdb=True, verbosity=0)
for number in (1, 2, 3):
    Order.objects.create(customer=f"hidden {number}", amount=number, at=datetime(2026, 11, 30, tzinfo=UTC))
given, service = sys.argv[1:]
named = [{"secret": "customer", "name": "amount"}.get(name, name) for name in json.loads(given)]
with Client(service) as client:
    for selected, file in ((named, "people.csv"), (None, "unnamed.csv")):
        table = Table(People(), Order.objects.all(), selected=selected, format_name="csv", given={})
        export = client.send_table(table.rows(), columns=table.columns, format="csv")
        export.wait()
        export.save_to(file)
