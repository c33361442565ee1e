"""Who mail is from and what carries it: the tables `[mail]`, `[mail.gmail]` and `[mail.smtp]`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from guardian.settings.section import Section
from guardian.settings.smtp_url import smtp_table
from guardian.settings.values import (
    OR_OF_FILE,
    Address,
    LanguageCode,
    LocalPath,
    Mailbox,
    Names,
    SecretFile,
    Selectors,
    is_loopback,
)


class SmtpSettings(Section):
    """Where and how to hand mail to a server: `[mail.smtp]`, or an URL (see `smtp_table`)."""

    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password_file: SecretFile | None = None
    password: Annotated[SecretStr | None, OR_OF_FILE] = None
    auth: Literal["password", "xoauth2"] = "password"
    token_file: LocalPath | None = None
    service_account_file: LocalPath | None = None
    allow_plaintext: bool = False
    """Whether `security = "none"` is allowed for another machine too, such as a relay in a private network."""
    timeout_seconds: float = Field(default=30, gt=0, le=300)

    @model_validator(mode="before")
    @classmethod
    def _of_url(cls, value: Any) -> Any:
        return smtp_table(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _private(self) -> SmtpSettings:
        if self.security == "none" and not self.allow_plaintext and not is_loopback(self.host):
            raise ValueError(
                f"security = 'none' would send mail unencrypted to {self.host!r}, another machine: "
                "use 'starttls' or 'tls', or set allow_plaintext = true"
            )
        return self

    @model_validator(mode="after")
    def _whole_login(self) -> SmtpSettings:
        if self.auth == "xoauth2":
            if self.username is None or self.password is not None:
                raise ValueError("auth = 'xoauth2' needs username, the address to log in as, and no password")
            _one_credential(self.token_file, self.service_account_file)
            return self
        if self.token_file is not None or self.service_account_file is not None:
            raise ValueError("token_file and service_account_file go with auth = 'xoauth2': set it, or remove them")
        if self.password is None and self.username is not None:
            raise ValueError("username is set but password is not: set password, password_file or neither")
        if self.username is None and self.password is not None:
            raise ValueError("password is set but username is not: set both or neither")
        return self


class GmailSettings(Section):
    """Sending through the Gmail API: `[mail.gmail]`. The files are read when mail is sent, not before.

    `token_file` is what 'guardian gmail login' writes; `service_account_file` the key of a service account that may
    act for the users of a Workspace domain, here for `subject` (None: the sender). `per_minute` bounds the sends.
    """

    token_file: LocalPath | None = None
    service_account_file: LocalPath | None = None
    subject: Address | None = None
    per_minute: int = Field(default=60, ge=1)

    @model_validator(mode="after")
    def _one_way(self) -> GmailSettings:
        _one_credential(self.token_file, self.service_account_file)
        if self.subject is not None and self.service_account_file is None:
            raise ValueError("subject goes with service_account_file: a token already belongs to one user, remove it")
        return self


def _one_credential(token_file: LocalPath | None, service_account_file: LocalPath | None) -> None:
    if (token_file is None) == (service_account_file is None):
        raise ValueError("set one of token_file (see 'guardian gmail login') and service_account_file")


class MailSettings(Section):
    """Who mail is from and what carries it: `[mail]`."""

    sender: Mailbox = "Guardian <guardian@localhost>"
    reply_to: Address | None = None
    dkim_selectors: Selectors = ()
    """Under which names the sender's domain publishes DKIM keys; `guardian check` looks them up."""
    smtp: SmtpSettings | None = None
    gmail: GmailSettings | None = None
    transports: Names | None = None
    """The order in which `gmail` and `smtp` are tried; None means each that is configured, gmail first."""
    directory: LocalPath | None = None
    """Where .eml files go when no transport is configured; None means `mail/` inside `reports_dir`."""
    language: LanguageCode = "en"
    languages: dict[Address, LanguageCode] = Field(default_factory=dict)
    """The language of each address that wants another one than `language`, in reports and alerts alike."""

    @field_validator("transports")
    @classmethod
    def _configured(cls, names: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if names == ():
            raise ValueError("the list is empty: name gmail, smtp or both, or remove it")
        for name in names or ():
            if name not in ("gmail", "smtp"):
                raise ValueError(f"{name!r} is not a transport: name gmail, smtp or both")
            if name in info.data and info.data[name] is None:
                raise ValueError(f"{name!r} is not configured: add [mail.{name}], or take it out of the list")
        if len(set(names or ())) < len(names or ()):
            raise ValueError("a transport is named twice: name each once")
        return names

    @property
    def order(self) -> tuple[str, ...]:
        """The names of the transports to try, first one first; empty where none is configured."""
        configured = tuple(name for name in ("gmail", "smtp") if getattr(self, name) is not None)
        return configured if self.transports is None else self.transports
