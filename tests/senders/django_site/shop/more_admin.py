"""Admins beside the one that the page shows: such as are killed, wait, fail, or cannot be followed."""

import os
import signal
import time
from pathlib import Path

from django.conf import settings
from django.contrib import admin
from import_export import resources
from import_export.admin import ExportActionModelAdmin, ExportMixin
from import_export.fields import Field
from import_export.formats.base_formats import CSV
from import_export.widgets import DateWidget
from shop.models import Behind, Killed, Odd, Whole
from sluice.client import Client
from sluice_import_export.admin import SluiceExportMixin
from sluice_import_export.formats import JSONLines

HERE = Path(settings.HERE)


def mark(name: str) -> Path:
    return HERE / name


class KilledResource(resources.ModelResource):
    class Meta:
        model = Killed
        fields = ("id", "customer")

    def dehydrate_customer(self, order):
        if order.pk == 1_000 and not mark("killed").exists():
            with Client(settings.SLUICE_URL) as client:
                while not any(one.rows_received >= 10_000 for one in client.list(state="open")):
                    time.sleep(0.02)
            mark("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return order.customer


@admin.register(Killed)
class KilledAdmin(SluiceExportMixin, ExportMixin, admin.ModelAdmin):
    resource_classes = [KilledResource]


class BehindResource(resources.ModelResource):
    class Meta:
        model = Behind
        fields = ("id", "at")

    def filter_export(self, queryset, **kwargs):
        return queryset.filter(pk__lte=3)

    def dehydrate_id(self, order):
        while not mark("go").exists():
            time.sleep(0.02)
        if mark("fail").exists():
            raise RuntimeError("no such price")
        return order.pk


@admin.register(Behind)
class BehindAdmin(SluiceExportMixin, ExportMixin, admin.ModelAdmin):
    resource_classes = [BehindResource]
    sluice_in_background = True
    skip_export_form = True
    export_formats = [JSONLines]


class WholeResource(resources.ModelResource):
    class Meta:
        model = Whole
        fields = ("id",)

    def filter_export(self, queryset, **kwargs):
        return queryset.filter(pk__lte=2)

    def after_export(self, queryset, dataset, **kwargs):
        dataset.append(["sum"])


@admin.register(Whole)
class WholeAdmin(SluiceExportMixin, ExportMixin, admin.ModelAdmin):
    resource_classes = [WholeResource]
    skip_export_form = True
    export_formats = [CSV]


class OddResource(resources.ModelResource):
    day = Field(attribute="day", column_name="Day", widget=DateWidget(format="%d.%m.%Y"))
    price = Field(attribute="amount", column_name="Price", dehydrate_method="priced")
    share = Field(column_name="Share")
    sluice_types = {"Share": "number"}

    class Meta:
        model = Odd
        fields = ("id", "day", "price", "share")

    def filter_export(self, queryset, **kwargs):
        return queryset.filter(pk__lte=2)

    def priced(self, order):
        return order.amount

    def dehydrate_share(self, order):
        return float("nan") if order.pk == 1 else 0.5


@admin.register(Odd)
class OddAdmin(SluiceExportMixin, ExportActionModelAdmin):
    resource_classes = [OddResource]
    to_encoding = "gbk"

    @property
    def sluice_options(self):
        return {"csv_bom": "perhaps"} if mark("refused").exists() else {}
