"""Chainlit with a password login; its token lies in a cookie, so the line of its own is `jwt_cookie` with its key."""

import os
from pathlib import Path

KEY = os.environ["CHAINLIT_AUTH_SECRET"] = "a secret of the demonstration, 32 bytes"
Path("chat.py").write_text(
    "import chainlit\n\n@chainlit.password_auth_callback\ndef check(name, password):\n"
    "    return chainlit.User(identifier=f'{name}@example.com') if password == 'pw' else None\n"
)

from chainlit.utils import mount_chainlit  # noqa: E402 (it reads the environment)
from fastapi import FastAPI  # noqa: E402

from tracker import UsageTrackingMiddleware  # noqa: E402

app = FastAPI()
mount_chainlit(app=app, target="chat.py", path="/chat")
if "TRACKED" in os.environ:
    app.add_middleware(
        UsageTrackingMiddleware,
        database=os.environ["TRACKED"],
        jwt_key=KEY,
        jwt_cookie="access_token",
        jwt_user_claim="identifier",
    )
