"""The settings: one TOML file, checked as a whole, each key overridable by an environment variable GUARDIAN_…."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from guardian.settings.channels import ChannelSettings, named_channels, unknown_channels
from guardian.settings.dashboard import DashboardSettings
from guardian.settings.mail import MailSettings
from guardian.settings.mail import SmtpSettings as SmtpSettings
from guardian.settings.people import AliasSettings
from guardian.settings.quantities import Duration, between
from guardian.settings.reports import ReportSettings, Routes
from guardian.settings.rules import DEFAULT_RULES, AnyRule, forgetful, named_tables
from guardian.settings.schedules import ScheduleSettings, WatchdogSettings
from guardian.settings.section import Section
from guardian.settings.values import (
    OR_OF_FILE,
    Address,
    Addresses,
    CronText,
    DatabasePlace,
    HttpUrl,
    KeySource,
    LocalPath,
    LongSecret,
    LongSecretFile,
    Names,
    ZoneName,
    listed,
    listed_schedules,
)


class ApiSettings(Section):
    """The HTTP API of the daemon and who may call it: `[api]`. `metrics` says who may read /metrics."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = Field(default=8765, ge=0, le=65535)
    jwt_key_file: LongSecretFile | None = None
    jwt_key: Annotated[LongSecret | None, OR_OF_FILE] = None
    jwks: KeySource | None = None
    jwt_algorithms: Names | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    admin_claim: str = "role"
    admin_value: str = "admin"
    scheduler_token_file: LongSecretFile | None = None
    scheduler_token: Annotated[LongSecret | None, OR_OF_FILE] = None
    scheduler_account: str | None = Field(default=None, min_length=3, max_length=320)
    scheduler_audience: str | None = Field(default=None, min_length=1, max_length=2_000)
    scheduler_issuer: str = "https://accounts.google.com"
    scheduler_jwks: KeySource = "https://www.googleapis.com/oauth2/v3/certs"
    metrics: Literal["public", "admin", "off"] = "public"

    @model_validator(mode="after")
    def _account_and_audience(self) -> ApiSettings:
        if (self.scheduler_account is None) != (self.scheduler_audience is None):
            missing, given = "scheduler_account", "scheduler_audience"
            if self.scheduler_account is not None:
                missing, given = given, missing
            raise ValueError(f"{given} is set without {missing}: a scheduler's token is checked for both")
        return self

    @model_validator(mode="after")
    def _one_family(self) -> ApiSettings:
        keyed = self.jwt_key is not None
        if keyed and self.jwks:
            raise ValueError("both jwt_key and jwks are set: tokens are checked with one of them")
        for name in self.jwt_algorithms or ():
            fits = re.fullmatch(r"HS(256|384|512)" if keyed else r"(RS|PS|ES)(256|384|512)|EdDSA", name)
            if (keyed or self.jwks) and not fits:
                raise ValueError(
                    f"jwt_algorithms has {name!r}: jwt_key goes with HS256, HS384 or HS512, jwks with RS256 or ES256"
                )
        return self


class RetentionSettings(Section):
    """How long things are kept, in days: `[retention]`."""

    events_days: int = Field(default=90, ge=1)
    errors_days: int = Field(default=30, ge=1)
    sessions_days: int = Field(default=365, ge=1)
    summaries_days: int = Field(default=730, ge=1)
    mails_days: int = Field(default=30, ge=1)


class MaintenanceSettings(Section):
    """A time in which no alert opens: `[[alerts.maintenance]]`. Either once, [start, end), or for `duration` from each
    match of a crontab expression on, by the clock of `timezone`."""

    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    cron: CronText | None = None
    duration: Annotated[Duration, between("1m", "7d")] | None = None

    @model_validator(mode="after")
    def _whole(self) -> MaintenanceSettings:
        given = {name for name in ("start", "end", "cron", "duration") if getattr(self, name) is not None}
        if given not in ({"start", "end"}, {"cron", "duration"}):
            raise ValueError("a maintenance window needs start and end, or cron and duration, and nothing else")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("end lies before start: give a later one")
        return self


class AlertSettings(Section):
    """What holds for all alert rules: `[alerts]`. The rules themselves are `[rules.NAME]`."""

    enabled: bool = True
    budget_per_hour: int = Field(default=60, ge=1)
    reserve: int = Field(default=10, ge=0)
    support_email: Address | None = None
    maintenance: Annotated[tuple[MaintenanceSettings, ...], BeforeValidator(listed)] = ()

    @model_validator(mode="after")
    def _reserve_fits(self) -> AlertSettings:
        if self.reserve >= self.budget_per_hour:
            raise ValueError("reserve leaves nothing of budget_per_hour: make it smaller")
        return self


def _label(value: str) -> str:
    """A short name on one line, without the spaces around it."""
    value = value.strip()
    if not value or len(value) > 60 or not value.isprintable():
        said = json.dumps(value, ensure_ascii=False)
        raise ValueError(f"{said} is not a name: write 1 to 60 letters on one line, such as Shop or staging")
    return value


Label = Annotated[str, AfterValidator(_label)]


class Settings(BaseSettings):
    """Everything that can be configured. `guardian.settings.loading.load_settings` reads it from a file."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True,
        env_prefix="GUARDIAN_", env_nested_delimiter="__", enable_decoding=False,
        defer_build=True,  # the one that reads the file is made of it, and most commands use no other
    )  # fmt: skip

    database: DatabasePlace = Path("guardian.db")
    reports_dir: LocalPath = Path("reports")
    app_name: Label | None = None
    environment: Label | None = None
    admins: Addresses = ()
    timezone: ZoneName = "UTC"
    public_url: HttpUrl | None = None
    critical_features: Names = ("chat_*",)
    import_routes: Routes = ()
    schedules: Annotated[tuple[ScheduleSettings, ...], BeforeValidator(listed_schedules)] = ()
    mail: MailSettings = MailSettings()
    api: ApiSettings = ApiSettings()
    dashboard: DashboardSettings = DashboardSettings()
    report: ReportSettings = ReportSettings()
    retention: RetentionSettings = RetentionSettings()
    alias: AliasSettings = AliasSettings()
    alerts: AlertSettings = AlertSettings()
    channels: Annotated[dict[str, ChannelSettings], AfterValidator(named_channels)] = {}
    watchdog: WatchdogSettings = WatchdogSettings()
    rules: Annotated[dict[str, AnyRule], BeforeValidator(named_tables)] = DEFAULT_RULES  # type: ignore[assignment]

    @property
    def app_label(self) -> str:
        """Which app this is, as mails and messages say it: `Shop (staging)`, `Shop`, `staging`; "" where not set."""
        if self.app_name and self.environment:
            return f"{self.app_name} ({self.environment})"
        return self.app_name or self.environment or ""

    @property
    def pages_url(self) -> str:
        """Where readers of mails find the dashboard; "" where `public_url` is not set, or no pages are served."""
        return self.public_url or "" if self.api.enabled and self.dashboard.enabled else ""

    @property
    def links_url(self) -> str:
        """Where the links of mails lead: `public_url` or, where it is not set, where the API listens."""
        if self.public_url is not None:
            return self.public_url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.api.host, self.api.host)
        port = self.api.port or ApiSettings().port  # 0: any port, which nobody knows yet
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    @field_validator("watchdog")
    @classmethod
    def _known_watchers(cls, watchdog: WatchdogSettings, info: ValidationInfo) -> WatchdogSettings:
        for name in watchdog.channels or ():
            if "channels" in info.data and name not in info.data["channels"]:
                known = ", ".join(info.data["channels"]) or "none is configured"
                raise ValueError(
                    f"channels has {name!r}, which is not a channel (known: {known}): add [channels.{name}]"
                )
        return watchdog

    @field_validator("rules")
    @classmethod
    def _rules_fit(cls, rules: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        wrong = list(unknown_channels(rules, info.data["channels"])) if "channels" in info.data else []
        if wrong:  # `found` has them one by one, for those who know the lines of the file
            raise PydanticCustomError("unknown_channels", "{said}", {"said": wrong[0][1], "found": wrong})
        blind = list(forgetful(rules, info.data["retention"].events_days)) if "retention" in info.data else []
        if blind:
            raise PydanticCustomError("forgetful_rules", "{said}", {"said": blind[0][1], "found": blind})
        return rules


def section_models(annotation: Any) -> list[type[BaseModel]]:
    """The tables that a field of this annotation holds: those inside unions and tuples too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in section_models(part)]


def setting_fields(model: type[BaseModel] = Settings, prefix: str = "") -> dict[str, FieldInfo]:
    """Every key that can be set, by its dotted name: `mail.smtp.host`. Tables themselves are not in it.

    Those of a rule depend on its kind: see `guardian.settings.rules.rule_models`.
    """
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        inner = [] if key == "rules" else section_models(field.annotation)
        for table in inner:
            found |= setting_fields(table, f"{key}.")
        if not inner:
            found[key] = field
    return found
