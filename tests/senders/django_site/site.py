"""A Django site over SQLite in the folder that is its argument; says its address and serves until it is ended."""

import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings

ROOT = Path(__file__).parents[3]
ORDERS = 12_000


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def configure(here: Path, service: str) -> None:
    sys.path[:0] = [str(here), str(ROOT / "clients/django-import-export")]
    apps = ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")
    settings.configure(
        HERE=str(here),
        SLUICE_URL=service,
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[*(f"django.contrib.{app}" for app in apps), "import_export", "sluice_import_export", "shop"],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(here / "site.sqlite3")}},
        MIGRATION_MODULES=dict.fromkeys(["admin", "auth", "contenttypes", "sessions"]),  # tables without their history
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        STATIC_URL="/static/",
        STATICFILES_DIRS=[("sluice_import_export", str(ROOT / "clients/web"))],
        TIME_ZONE="Asia/Shanghai",
        USE_TZ=True,
        IMPORT_EXPORT_EXPORT_PERMISSION_CODE="export",
    )
    django.setup()


def fill() -> None:
    from django.contrib.auth.models import Permission, User
    from django.core.management import call_command
    from shop.models import Order

    call_command("migrate", run_syncdb=True, verbosity=0)
    if Order.objects.exists():
        return
    start = datetime(2026, 11, 30, tzinfo=UTC)
    Order.objects.bulk_create(
        Order(
            customer=f"客户 {number}",
            amount=Decimal(number) / 4,
            paid=[None, True, False][number % 3],
            at=start + timedelta(seconds=number),
            day=None if number % 2 else start.date(),
        )
        for number in range(1, ORDERS + 1)
    )
    User.objects.create_superuser("admin", password="admin")
    for name, permissions in {"seller": ["view_order", "export_order"], "clerk": ["view_order"]}.items():
        user = User.objects.create_user(name, password=name, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))


configure(Path(sys.argv[1]), sys.argv[2])
fill()

from django.contrib import admin  # noqa: E402 -- needs the settings
from django.contrib.staticfiles.handlers import StaticFilesHandler  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402

urlpatterns = [path("admin/", admin.site.urls)]
with make_server("127.0.0.1", 0, StaticFilesHandler(get_wsgi_application()), Server, Quiet) as server:
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
