"""The mixin for the admin: in front of django-import-export's own."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Literal

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import connections
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from import_export.admin import ExportMixin
from import_export.formats import base_formats
from import_export.signals import post_export

from sluice.client import Client, Export, Receipt, SluiceApiError
from sluice.client.client import QUIET_S
from sluice_import_export.formats import WRITTEN, XLSX
from sluice_import_export.table import Table, own_ways

logger = logging.getLogger(__name__)

RUN_FIELD = "sluice_run"
"""The form's hidden field: a form that is sent again goes on with the same export; a new form begins a new one."""
_KEPT = "sluice_exports"
"""In the session: model and watch address of the exports that the user asked for, by their ids."""
_KEPT_MAX = 50
_OWN_DATA = ("get_data_for_export", "get_export_data")
_CHANGED = {"BATCH_CONFLICT", "BATCHES_EXTRA", "TOTALS_MISMATCH", "ALREADY_CLOSED", "TASK_CLOSED"}
"""What the service says of other, more or fewer rows than another run has sent under the key, or closed it with."""


class SluiceExportMixin(ExportMixin):
    """Sends what the admin exports as CSV or XLSX to a Sluice service; every other format is left as it was.

    Stands before ``ModelAdmin``, or before the class of django-import-export. Permissions, forms, filters, selected
    objects and hooks of resources are that package's.
    """

    sluice_options: Mapping[str, Any] = {}
    """Options of the files, as in docs/files.md."""
    sluice_in_background = False
    """Send the rows from a thread of this process, and show the page at once. Else they are sent in the request."""
    sluice_template_name = "sluice_import_export/export.html"

    def get_sluice_client(self) -> Client:
        """The service at ``SLUICE_URL`` of the settings, with the key ``SLUICE_TOKEN``."""
        url = getattr(settings, "SLUICE_URL", "")
        if not url:
            raise ImproperlyConfigured("SLUICE_URL is not set: the address of the Sluice service")
        retry_for_s = 120 if self.sluice_in_background else 15
        return Client(url, token=getattr(settings, "SLUICE_TOKEN", ""), retry_for_s=retry_for_s)

    def get_sluice_options(self, request: HttpRequest, format_name: str) -> dict[str, Any]:  # noqa: ARG002 -- for overriding
        """Options of the file; a cell that is not of its column's type is kept as text, as in the original formats."""
        encoding = {"csv_encoding": self.to_encoding} if format_name == "csv" and self.to_encoding else {}
        return {"on_invalid": "text", **encoding, **self.sluice_options}

    def get_export_formats(self) -> list[Any]:
        """Those of django-import-export, and XLSX also without openpyxl, where that package has none."""
        lacking = base_formats.XLSX if not base_formats.XLSX.is_available() else None
        formats = [XLSX if one is lacking else one for one in self.export_formats]
        if lacking and self.export_formats is base_formats.DEFAULT_FORMATS:
            formats.insert(1, XLSX)  # behind CSV
        return [one for one in formats if one().can_export()]

    def get_urls(self) -> list[Any]:
        name = "{}_{}_sluice_export".format(*self.get_model_info())
        view = self.admin_site.admin_view(self.sluice_export_view)
        return [path("export/sluice/<str:task_id>/", view, name=name), *super().get_urls()]

    def get_export_form_class(self) -> type[forms.Form]:
        run = forms.CharField(widget=forms.HiddenInput, required=False, max_length=64, initial=lambda: uuid.uuid4().hex)
        return type("SluiceExportForm", (super().get_export_form_class(),), {RUN_FIELD: run})

    def _do_file_export(
        self, file_format: Any, request: HttpRequest, queryset: Any, export_form: Any = None
    ) -> HttpResponse:
        """Where django-import-export writes the file. It shows the text of a ValueError above its form."""
        format_name = WRITTEN.get(type(file_format))
        if format_name is None:
            return super()._do_file_export(file_format, request, queryset, export_form=export_form)
        if not self.has_export_permission(request):
            raise PermissionDenied
        given = {"encoding": self.to_encoding, "export_form": export_form, "force_native_type": True}
        resource_class = self.choose_export_resource_class(export_form, request)
        resource = resource_class(**self.get_export_resource_kwargs(request, **given))
        ways = own_ways(resource) + [name for name in _OWN_DATA if not _is_the_package_s(getattr(type(self), name))]
        if ways:
            logger.warning("%s is exported without Sluice, because it has its own %s", type(self).__name__, ways)
            return super()._do_file_export(file_format, request, queryset, export_form=export_form)
        selected = self.get_export_resource_fields_from_form(export_form)
        try:
            table = Table(resource, queryset, selected=selected, format_name=format_name, given=given)
            export = self._sluice_send(request, table, format_name, file_format, queryset, export_form)
        except SluiceApiError as error:
            if export_form is not None:
                raise ValueError(str(error)) from error
            messages.error(request, str(error))
            return HttpResponseRedirect(self._sluice_address("changelist"))
        post_export.send(sender=None, model=self.model)
        kept = list(request.session.get(_KEPT, {}).items())[-_KEPT_MAX + 1 :]
        request.session[_KEPT] = {**dict(kept), export.id: [self._sluice_of, export.watch_url]}
        return HttpResponseRedirect(self._sluice_address("sluice_export", export.id))

    def _sluice_send(
        self, request: HttpRequest, table: Table, format_name: str, file_format: Any, queryset: Any, export_form: Any
    ) -> Export:
        options = self.get_sluice_options(request, format_name)
        filename = self.get_export_filename(request, queryset, file_format)
        run = export_form.cleaned_data.get(RUN_FIELD) if export_form is not None else None
        key = table.key(run, request.user.pk, self._sluice_of, format_name, filename, options) if run else None

        def send(on_open: Callable[[Export], object]) -> Export:
            with self.get_sluice_client() as client:
                return send_whole(
                    client,
                    table,
                    on_open=on_open,
                    format=format_name,
                    filename=filename,
                    options=options,
                    idempotency_key=key,
                )

        return opened_in_background(send) if self.sluice_in_background else send(lambda _: None)

    def sluice_export_view(self, request: HttpRequest, task_id: str) -> HttpResponse:
        """The page of one export, for the session that asked for it; with ``?file`` the file itself."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        model, watch_url = request.session.get(_KEPT, {}).get(task_id, ("", None))
        if model != self._sluice_of:
            raise Http404
        try:
            with self.get_sluice_client() as client:
                export = client.export(task_id)
                status = export.status()
                if "file" in request.GET:
                    return HttpResponseRedirect(export.link().url)
        except SluiceApiError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(self._sluice_address("changelist"))
        if status.failure is not None:
            messages.error(request, str(status.failure))
        context = {
            **self.admin_site.each_context(request),
            "title": status.filename,
            "opts": self.opts,
            "watch_url": watch_url,
            "status": status,
        }
        return TemplateResponse(request, self.sluice_template_name, context)

    @property
    def _sluice_of(self) -> str:
        return "{}.{}".format(*self.get_model_info())

    def _sluice_address(self, page: str, *arguments: str) -> str:
        name = "{}:{}_{}_{}".format(self.admin_site.name, *self.get_model_info(), page)
        return reverse(name, args=arguments)


def send_whole(client: Client, table: Table, *, on_open: Callable[[Export], object], **how: Any) -> Export:
    """Send a table and close it. Under a key, rows that have changed since a run that broke off are sent anew.

    Where it fails the export is cancelled, so that its page says so, unless the same call may go on later, or another
    request of the same key has closed it or sends it.
    """
    key = how["idempotency_key"]
    opened: list[Export] = []
    is_another_s = False

    def remember(export: Export) -> None:
        nonlocal is_another_s
        opened.append(export)
        is_another_s = key is not None and export.status().batches > 0
        on_open(export)

    def stored(receipt: Receipt) -> None:
        nonlocal is_another_s
        is_another_s = is_another_s or receipt.replayed

    def send(*, restart: Literal[False, "stopped"]) -> Export:
        return client.send_table(
            table.rows(), columns=table.columns, on_open=remember, on_batch=stored, restart=restart, **how
        )

    try:
        try:
            return send(restart=False)
        except SluiceApiError as error:
            if error.code not in _CHANGED or key is None:
                raise
        return send(restart="stopped")
    except BaseException as error:
        if opened and not is_another_s and not (isinstance(error, SluiceApiError) and error.retryable):
            _cancel(opened[-1], may_be_another_s=key is not None)
        raise


def opened_in_background(send: Callable[[Callable[[Export], object]], Export]) -> Export:
    """Send from a thread, with the language and the time zone of this one; return once the export is open.

    Raises what the open raises. What fails later is logged.
    """
    opened: Future[Export] = Future()

    def run() -> None:
        try:
            send(lambda export: None if opened.done() else opened.set_result(export))
        except BaseException as error:
            if opened.done():
                logger.exception("an export failed while its rows were sent")
            else:
                opened.set_exception(error)
        finally:
            connections.close_all()

    threading.Thread(target=contextvars.copy_context().run, args=[run], name="sluice-export").start()
    return opened.result()


def _cancel(export: Export, *, may_be_another_s: bool) -> None:
    try:
        if may_be_another_s and not _has_stopped(export):
            return
        export.cancel()
    except SluiceApiError as error:
        logger.warning("an export that failed could not be cancelled: %s", error)


def _has_stopped(export: Export) -> bool:
    """Whether it is open, and no other request of its key sends to it."""
    seen = export.status()
    time.sleep(QUIET_S)
    now = export.status()
    return now.state == "open" and now.batches == seen.batches


def _is_the_package_s(method: Callable[..., Any]) -> bool:
    return method.__module__.partition(".")[0] == "import_export"
