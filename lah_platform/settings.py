"""Settings: the environment, read and validated once. Importing this module opens nothing.

Belongs here: names, defaults and validation. Does not: anything that connects or creates files.
"""

import re
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["EVENT_LOG_DAYS", "MIN_HOT_DAYS", "PROJECT_ROOT", "SQL_ROOT", "TELEMETRY_OFF", "Settings", "settings"]

PROJECT_ROOT = Path(__file__).resolve().parents[1]
_SQL_CANDIDATES = (PROJECT_ROOT / "sql", PROJECT_ROOT / "lah_platform" / "sql")  # checkout, wheel
SQL_ROOT = next((path for path in _SQL_CANDIDATES if path.is_dir()), _SQL_CANDIDATES[0])

# Every process of the hub starts with these: nobody's usage leaves the machine.
TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DAGSTER_DISABLE_TELEMETRY": "true",
}

MIN_HOT_DAYS = 32  # the monthly report, made on the 1st, reads the whole month before from PostgreSQL
EVENT_LOG_DAYS = 14  # the lineage leaves up to 3,000 rows a day in Dagster's event log, which it never prunes itself


class Settings(BaseSettings):
    """What a deployment can set, each by an environment variable `LAH_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="LAH_", extra="ignore")

    home: Path = Field(default=Path(".lah"), description="Where embedded parts keep data, logs and secrets.")
    database_url: SecretStr | None = Field(default=None, description="PostgreSQL URL; unset: the embedded server.")
    kafka_bootstrap: str | None = Field(default=None, description="Brokers; unset: embedded; 'none': no broker.")
    topic: str = Field(default="lah.events", description="Topic that carries events.")
    topic_partitions: int = Field(default=4, ge=1, le=1024, description="Partitions when the hub creates the topic.")
    consumer_group: str | None = Field(
        default=None, description="Kafka consumer group; unset: one process takes every partition itself."
    )
    kafka_settings: dict[str, str] = Field(
        default={},
        description='More librdkafka settings of landing\'s consumer, as JSON: {"session.timeout.ms": "6000"}.',
    )
    traces: Path | None = Field(default=None, description="Folder of real traces; unset: ../shared/data when present.")
    secret: SecretStr | None = Field(default=None, description="Server secret of API keys; unset: made in LAH_HOME.")
    signing_key: SecretStr | None = Field(
        default=None, description="Ed25519 key that signs evidence, base64 of 32 bytes; unset: made in LAH_HOME."
    )
    audit_anchors: list[str] = Field(
        default=[],
        description="Places outside that get each signed head of the audit log, as JSON: file:///..., https://..., "
        "s3://bucket/prefix, gs://..., az://....",
    )
    field_encryption: Literal["on", "off"] = Field(
        default="on", description="'off': personal fields are stored as they are sent."
    )
    master_key_provider: Literal["file", "environment", "vault", "aws-kms"] | None = Field(
        default=None,
        description="Where the key that wraps all others is; unset: LAH_MASTER_KEY when set, else a file in LAH_HOME.",
    )
    master_key: SecretStr | None = Field(
        default=None, description="Master key, base64 of 32 bytes; several as 2:<base64>,1:<base64> while rotating."
    )
    vault_url: str | None = Field(default=None, description="HashiCorp Vault that has the master key, its address...")
    vault_token: SecretStr | None = Field(default=None, description="...a token that may use that key...")
    vault_token_file: Path | None = Field(default=None, description="...or the file an agent renews it in...")
    vault_mount: str = Field(default="transit", description="...where its transit engine is mounted...")
    vault_key: str = Field(default="lah", description="...and the key's name there.")
    vault_namespace: str | None = Field(default=None, description="Vault namespace, where it has those.")
    kms_key: str | None = Field(default=None, description="AWS KMS key that is the master key: id, ARN or alias...")
    kms_region: str | None = Field(default=None, description="...and its region; unset: as boto3 finds it.")
    dead_letter_days: float = Field(
        default=30, gt=0, description="The bytes of dead letters are deleted this long after they were refused."
    )
    oidc_issuer: str | None = Field(default=None, description="Issuer whose tokens the API takes; unset: keys only.")
    oidc_audience: str | None = Field(default=None, description="What the `aud` of those tokens must say.")
    oidc_tenant_claim: str = Field(default="lah_tenant", description="Their claim that names the tenant...")
    oidc_role_claim: str = Field(default="lah_role", description="...and the one that names the role.")
    rate_limit: str = Field(
        default="50000/minute",
        pattern=r"^(none|[1-9][0-9]*/(second|minute|hour))$",
        description="Requests of one credential in each API process, such as 600/minute; 'none': as many as come.",
    )
    refusal_limit: str = Field(
        default="30/minute",
        pattern=r"^(none|[1-9][0-9]*/(second|minute|hour))$",
        description="Refused credentials of one client address in each API process; 'none': as many as come.",
    )
    trusted_proxies: list[str] = Field(
        default=[],
        description='Proxies whose X-Forwarded-For and -Proto are believed, as JSON: ["10.0.0.0/8"]; unset: none.',
    )
    request_seconds: float = Field(
        default=60, gt=0, description="An ordinary request is given up after so long; streams and long answers are not."
    )
    api_host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(default=8080, ge=1, le=65535)
    api_certificate: Path | None = Field(
        default=None, description="The API's TLS certificate with its chain, in PEM; unset: it speaks HTTP."
    )
    api_certificate_key: Path | None = Field(default=None, description="That certificate's private key, in PEM.")
    dagster_port: int = Field(default=3000, ge=1, le=65535)
    dagster_url: str | None = Field(
        default=None, description="Where people reach Dagster's UI; unset: on this machine, at LAH_DAGSTER_PORT."
    )
    postgres_port: int = Field(default=25432, ge=1, le=65535, description="Port of the embedded PostgreSQL.")
    broker_port: int = Field(default=19092, ge=1, le=65535, description="Port of the embedded broker.")
    code_port: int = Field(
        default=4266, ge=1, le=65534, description="Port of Dagster's code server; dbt's is the next."
    )
    batch_rows: int = Field(default=20_000, ge=1, le=100_000, description="A landing batch ends at so many records...")
    batch_seconds: float = Field(default=0.05, gt=0, le=60, description="...or after so long.")
    stop_seconds: float = Field(
        default=20, gt=0, description="Landing ends so long after SIGTERM and the batch it waits for, at the latest."
    )
    dedup: Literal["exact", "strict"] = Field(
        default="exact", description="'strict' also refuses an event_id that came before under another timestamp..."
    )
    dedup_window_hours: float = Field(default=24, gt=0, description="...when it came at most so long before.")
    metrics_port: int | None = Field(
        default=None, ge=1, le=65535, description="Port of landing's Prometheus metrics; unset: none are served."
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address landing's metrics are served on.")
    series_tags: list[str] = Field(
        default=[],
        max_length=8,
        description='Tags that tell series apart, besides service, region, team and provider, as JSON: ["feature"].',
    )
    series_limit: int = Field(default=10_000, ge=1, description="Series per tenant; beyond it __other__.")
    allowed_lateness_seconds: float = Field(default=900, ge=0, description="A window is final this long after its end.")
    compress_after_days: int = Field(default=7, ge=1, description="Age at which TimescaleDB compresses events.")
    retention_days: int = Field(default=400, ge=1, description="Events older than this are rejected and dropped.")
    archive_dir: Path | None = Field(
        default=None, description="Folder of the archive in Parquet; unset: there is none."
    )
    hot_days: int | None = Field(
        default=None,
        ge=MIN_HOT_DAYS,
        description="Days that PostgreSQL keeps itself once they are archived; unset: LAH_RETENTION_DAYS.",
    )

    report_schedules: Path | None = Field(
        default=None, description="File (YAML) of when which reports are made and where they go; unset: the package's."
    )

    controls_dir: Path | None = Field(
        default=None, description="Folder of frameworks of controls (YAML) besides the package's; unset: none."
    )
    report_query_seconds: float = Field(
        default=60, gt=0, description="A report is refused when one of its queries takes longer."
    )

    @field_validator(
        "home", "report_schedules", "controls_dir", "archive_dir", "api_certificate", "api_certificate_key"
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().resolve()

    @field_validator("audit_anchors")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        for each in value:
            if not re.match(r"(file|https?|s3|gs|az)://.", each):
                raise ValueError("an anchor begins with file://, https://, http://, s3://, gs:// or az://")
        return value

    @model_validator(mode="after")
    def _only_archived_days_leave(self) -> Self:
        if self.hot_days is not None and self.archive_dir is None:
            raise ValueError("LAH_HOT_DAYS needs LAH_ARCHIVE_DIR: days leave PostgreSQL for the archive only")
        return self

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Self:
        if (self.api_certificate is None) != (self.api_certificate_key is None):
            raise ValueError("LAH_API_CERTIFICATE and LAH_API_CERTIFICATE_KEY belong together: set both or none")
        return self

    @model_validator(mode="after")
    def _master_key_has_what_it_needs(self) -> Self:
        needed: dict[str, dict[str, object]] = {
            "environment": {"LAH_MASTER_KEY": self.master_key},
            "vault": {"LAH_VAULT_URL": self.vault_url, "LAH_VAULT_TOKEN": self.vault_token or self.vault_token_file},
            "aws-kms": {"LAH_KMS_KEY": self.kms_key},
        }
        missing = [name for name, value in needed.get(self.master_key_provider or "", {}).items() if value is None]
        if missing:
            raise ValueError(f"LAH_MASTER_KEY_PROVIDER={self.master_key_provider} needs {' and '.join(missing)}")
        return self

    @property
    def api_scheme(self) -> str:
        return "http" if self.api_certificate is None else "https"

    @property
    def strict_window(self) -> timedelta | None:
        """How long an event_id is held to its first timestamp; None: it is not."""
        return timedelta(hours=self.dedup_window_hours) if self.dedup == "strict" else None

    @property
    def dagster_address(self) -> str:
        """Dagster's UI, without a slash at the end."""
        return (self.dagster_url or f"http://127.0.0.1:{self.dagster_port}").rstrip("/")

    @property
    def has_embedded_postgres(self) -> bool:
        return self.database_url is None

    @property
    def has_embedded_broker(self) -> bool:
        return self.kafka_bootstrap is None

    @property
    def has_broker(self) -> bool:
        return self.kafka_bootstrap != "none"

    def traces_dir(self) -> Path | None:
        """The folder of real traces, or None when this machine has none."""
        candidates = [self.traces] if self.traces else [PROJECT_ROOT.parent / "shared" / "data"]
        return next((path for path in candidates if (path / "llm_traces").is_dir()), None)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings. Raises pydantic.ValidationError naming the variable when one is unusable."""
    return Settings()
