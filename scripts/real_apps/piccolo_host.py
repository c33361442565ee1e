"""Piccolo's admin pages with its own users and sessions, which are in the scope: it needs no line of its own."""

import os

os.environ["PICCOLO_CONF"] = "piccolo_conf"
from pathlib import Path

Path("piccolo_conf.py").write_text(
    "from piccolo.conf.apps import AppRegistry\nfrom piccolo.engine.sqlite import SQLiteEngine\n"
    "DB = SQLiteEngine(path='piccolo.db')\n"
    "APP_REGISTRY = AppRegistry(apps=['piccolo.apps.user.piccolo_app', 'piccolo_api.session_auth.piccolo_app'])\n"
)
import sys  # noqa: E402

sys.path.insert(0, os.getcwd())
from piccolo.apps.user.tables import BaseUser  # noqa: E402
from piccolo_admin.endpoints import create_admin  # noqa: E402
from piccolo_api.session_auth.tables import SessionsBase  # noqa: E402

from tracker import UsageTrackingMiddleware  # noqa: E402

for table in (BaseUser, SessionsBase):
    table.create_table(if_not_exists=True).run_sync()
BaseUser.create_user_sync(
    username="ann", password="password-of-ann", email="ann@example.com", admin=True, active=True, superuser=True
)
app = create_admin([BaseUser])
if "TRACKED" in os.environ:
    app = UsageTrackingMiddleware(app, database=os.environ["TRACKED"])
