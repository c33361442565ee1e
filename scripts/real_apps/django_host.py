"""Django's own admin pages, under ASGI, with the shim of docs/tracker.md."""

import os

from django.conf import settings

FIRST = ["tracker.django.RouteAndUser"] if "TRACKED" in os.environ else []
settings.configure(
    SECRET_KEY="a secret of the demonstration",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    STATIC_URL="/static/",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "rest_framework",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.db"}},
    MIDDLEWARE=[
        *FIRST,
        "django.contrib.sessions.middleware.SessionMiddleware",
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
)

import django  # noqa: E402 (settings come first)

django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.urls import path  # noqa: E402

from tracker import UsageTrackingMiddleware  # noqa: E402

call_command("migrate", verbosity=0)
User.objects.create_superuser("ann", "ann@example.com", "pw")
urlpatterns = [path("admin/", admin.site.urls)]
app = get_asgi_application()
if "TRACKED" in os.environ:
    app = UsageTrackingMiddleware(app, database=os.environ["TRACKED"])
