"""The settings: one TOML file, checked as a whole, each key overridable by an environment variable GUARDIAN_…."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Section(BaseModel):
    """A table of the file: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class SmtpSettings(Section):
    """Where and how to hand mail to a server: `[mail.smtp]`."""

    host: str
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    timeout_seconds: float = Field(default=30, gt=0, le=300)


class MailSettings(Section):
    """Who mail is from and what carries it, in order of preference: `[mail]`."""

    sender: str = "Guardian <guardian@localhost>"
    reply_to: str | None = None
    smtp: SmtpSettings | None = None
    directory: Path | None = None
    """Where .eml files go when no transport is configured; None means `mail/` inside `reports_dir`."""


class ScheduleSettings(Section):
    """One report: when it goes out, to whom: `[[schedules]]`. `recipients` empty means the admins."""

    when: str
    name: str | None = None
    recipients: tuple[str, ...] = ()
    skip_empty: bool = False


class ApiSettings(Section):
    """The HTTP API of the daemon and who may call it: `[api]`."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = Field(default=8765, ge=0, le=65535)
    jwt_key: SecretStr | None = None
    jwt_key_file: Path | None = None
    jwks: str | None = None
    jwt_algorithms: tuple[str, ...] | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    admin_claim: str = "role"
    admin_value: str = "admin"
    scheduler_token: SecretStr | None = None
    scheduler_token_file: Path | None = None


class RetentionSettings(Section):
    """How long things are kept, in days: `[retention]`."""

    events_days: int = Field(default=90, ge=1)
    summaries_days: int = Field(default=730, ge=1)
    mails_days: int = Field(default=30, ge=1)


class Settings(BaseSettings):
    """Everything that can be configured. Relative paths are relative to the file's folder."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="GUARDIAN_", env_nested_delimiter="__")

    database: Path = Path("guardian.db")
    reports_dir: Path = Path("reports")
    admins: tuple[str, ...] = ()
    timezone: str = "UTC"
    public_url: str = "http://127.0.0.1:8765"
    critical_features: tuple[str, ...] = ("chat_*",)
    schedules: tuple[ScheduleSettings, ...] = ()
    mail: MailSettings = MailSettings()
    api: ApiSettings = ApiSettings()
    retention: RetentionSettings = RetentionSettings()
