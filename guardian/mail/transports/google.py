"""Access tokens for one Google account: from the file that `guardian gmail login` writes, or a service account's key.

Google's libraries (extra `gmail`) are imported when a token is first asked for. Errors never contain the token
endpoint's texts, only its codes (RFC 6749, section 5.2).
"""

from __future__ import annotations

import json
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

from guardian.core.language import marked
from guardian.mail.transport import LoginRefused, Unreachable
from guardian.settings.secret_files import read_secret

SEND_SCOPE = "https://www.googleapis.com/auth/gmail.send"
"""The scope for sending through the Gmail API, and nothing else."""
SMTP_SCOPE = "https://mail.google.com/"
"""What Gmail's SMTP server wants of XOAUTH2 (developers.google.com/gmail/imap/xoauth2-protocol)."""
TOKEN_URI = "https://oauth2.googleapis.com/token"
TIMEOUT_SECONDS = 30.0
MISSING_LIBRARIES = "Google's libraries are not installed: run pip install 'usage-guardian[gmail]'"

_CODES = {
    "invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope", "access_denied", "invalid_request",
}  # fmt: skip


class GoogleLogin:
    """Access tokens of one account, refreshed when they expire. Thread-safe. Exactly one of the files is given; a
    changed file is read again, so a new login needs no restart.
    """

    def __init__(
        self,
        *,
        token_file: Path | None,
        service_account_file: Path | None,
        scope: str,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._token_file = token_file
        self._path = token_file or service_account_file
        self._scope = scope
        self._timeout = timeout
        self._lock = threading.Lock()
        self._read: tuple[tuple[str, int], Any] | None = None

    @property
    def cure(self) -> str:
        """What a person must do if the account is refused."""
        if self._token_file is None:
            return marked("check the key and the domain-wide delegation of the service account (docs/gmail.md)")
        if self._scope == SMTP_SCOPE:
            return marked("run 'guardian gmail login --smtp'")
        return marked("run 'guardian gmail login'")

    def access_token(self, subject: str) -> str:
        """A token that is valid now; blocks while one is fetched. `subject` is whom a service account acts for.

        Raises LoginRefused where a person must do something, Unreachable where the token endpoint does not answer.
        """
        try:
            import google.auth.exceptions as failures
            import google_auth_httplib2
            import httplib2
        except ImportError:
            raise LoginRefused(MISSING_LIBRARIES) from None
        with self._lock:
            credentials = self._loaded(subject)
            if credentials.valid:
                return str(credentials.token)
            try:
                credentials.refresh(google_auth_httplib2.Request(httplib2.Http(timeout=self._timeout)))
            except failures.RefreshError as error:
                raise self._refusal(error) from None
            except (failures.GoogleAuthError, httplib2.HttpLib2Error, OSError) as error:
                raise Unreachable(f"Google's token endpoint does not answer ({type(error).__name__})") from None
            return str(credentials.token)

    def forget_token(self) -> None:
        """Fetch a new access token next time, because the present one was refused."""
        with self._lock:
            if self._read is not None:
                self._read[1].token = None

    def expires_at(self) -> datetime | None:
        """When the refresh token expires, aware; None if that is unknown or there is none."""
        if self._token_file is None:
            return None
        try:
            return datetime.fromisoformat(json.loads(self._token_file.read_bytes())["refresh_token_expiry"])
        except (OSError, ValueError, KeyError, TypeError):
            return None  # said when it is used

    def _loaded(self, subject: str) -> Any:
        assert self._path is not None
        try:
            text = read_secret(self._path).get_secret_value()
            key = (subject, self._path.stat().st_mtime_ns)
        except (ValueError, OSError) as error:
            missing = not self._path.exists()
            said = f"{self._path} is not there" if missing else str(error)
            raise LoginRefused(f"{said}: {self.cure}" if missing else said) from None
        if self._read is None or self._read[0] != key:
            try:
                self._read = key, self._made(json.loads(text), subject)
            except (ValueError, TypeError, KeyError, AttributeError):  # MalformedError is a ValueError
                raise LoginRefused(f"{self._path} does not hold Google's credentials: {self.cure}") from None
        return self._read[1]

    def _made(self, info: Any, subject: str) -> Any:
        """The credentials of a file with this JSON. Raises LoginRefused, and whatever a wrong file leads to."""
        from google.oauth2 import credentials, service_account

        if self._token_file is None:
            return service_account.Credentials.from_service_account_info(info, scopes=[self._scope], subject=subject)
        if self._scope not in (info.get("scopes") or [self._scope]):
            raise LoginRefused(f"{self._path} does not allow this way of sending: {self.cure}")
        # Not from_authorized_user_info, which ignores token_uri.
        return credentials.Credentials(
            None, **{name: info[name] for name in ("refresh_token", "client_id", "client_secret")},
            token_uri=info.get("token_uri") or TOKEN_URI, scopes=info.get("scopes"),
        )  # fmt: skip

    def _refusal(self, error: Any) -> Unreachable:
        """`error` is a RefreshError, whose second argument is the answer of the endpoint."""
        answer = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
        code = answer.get("error")
        known = code if isinstance(code, str) and code in _CODES else "no reason that is known"
        if error.retryable:
            return Unreachable("Google's token endpoint cannot give a token now")
        return LoginRefused(f"Google refuses the login ({known}): {self.cure}")
