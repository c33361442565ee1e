"""Asks a person in their browser for permission to send as them, and writes Google's answer into a token file.

The flow is that of RFC 8252 (a redirect to this machine). Imported only by `guardian gmail login`.
"""

from __future__ import annotations

import json
import webbrowser
from datetime import UTC, datetime, timedelta
from pathlib import Path

from google_auth_oauthlib.flow import InstalledAppFlow, WSGITimeoutError
from oauthlib.oauth2 import OAuth2Error
from requests.exceptions import RequestException

from guardian.core.files import replacing

PATIENCE_SECONDS = 600
"""How long the person may take."""
PROMPT = "Open this address in a browser on this machine, and allow Guardian to send:\n{url}"
SUCCESS = "Guardian may send now. You can close this window."


def ask(client_secrets: Path, token_file: Path, *, scope: str, browser: bool, now: datetime) -> datetime | None:
    """Write the token file, whole or not at all, with mode 0600.

    Returns when its refresh token expires, None where it does not. Raises ValueError with one sentence where the login
    failed.
    """
    try:
        flow = InstalledAppFlow.from_client_secrets_file(str(client_secrets), scopes=[scope])
    except OSError as error:
        cure = "download it from the Cloud console (docs/gmail.md), or name it with --client-secrets"
        raise ValueError(f"{client_secrets} cannot be read ({error.strerror}): {cure}") from None
    except (ValueError, AttributeError, TypeError):
        cure = "download the JSON of a client of the type 'Desktop app'"
        raise ValueError(f"{client_secrets} holds no OAuth client: {cure}") from None
    try:
        credentials = flow.run_local_server(
            port=0, open_browser=browser, authorization_prompt_message=PROMPT, success_message=SUCCESS,
            timeout_seconds=PATIENCE_SECONDS, access_type="offline", prompt="consent",
        )  # fmt: skip
    except webbrowser.Error:
        raise ValueError("no browser can be opened here: run it with --no-browser") from None
    except WSGITimeoutError:
        raise ValueError(f"nobody answered within {PATIENCE_SECONDS // 60} minutes: run it again") from None
    except OAuth2Error as error:
        raise ValueError(f"Google did not allow it ({error.error}): run it again, and allow it there") from None
    except Warning:  # oauthlib: another scope was granted than requested
        raise ValueError("the right to send was not granted: run it again, and tick it") from None
    except (RequestException, OSError) as error:
        raise ValueError(f"Google's token endpoint cannot be reached ({type(error).__name__}): try again") from None
    if not credentials.refresh_token:
        raise ValueError("Google gave no refresh token: remove Guardian's access in the Google account, and run again")
    value = json.loads(credentials.to_json(strip=["token", "expiry"]))
    seconds = flow.oauth2session.token.get("refresh_token_expires_in")
    expiry = None if not seconds else now.astimezone(UTC) + timedelta(seconds=int(seconds))
    if expiry is not None:
        value["refresh_token_expiry"] = expiry.isoformat()
    _write(token_file, json.dumps(value, indent=2) + "\n")
    return expiry


def _write(path: Path, text: str) -> None:
    """Raises ValueError where the folder cannot be written."""
    try:
        with replacing(path) as file:
            file.write(text)
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror}): name another with --token-file") from None
