"""Where the running parts are: from the settings, or from what `lah up` wrote down in LAH_HOME.

Secrets are read from files that only their owner can read and are never written into the state file.
"""

from pathlib import Path

import msgspec

from lah_platform.errors import ConfigurationError
from lah_platform.settings import Settings
from lah_platform.stores.embedded.postgres import EmbeddedPostgres

__all__ = ["StackState", "database_url", "kafka_bootstrap", "read_state", "running_broker", "write_state"]

_NOT_RUNNING = "Start the hub with `lah up`, or set {variable} to a server of yours"


class StackState(msgspec.Struct):
    """What `lah up` started: the supervisor, ports, and each part's process."""

    supervisor_pid: int
    postgres_port: int | None = None
    broker_port: int | None = None
    api_url: str | None = None
    dagster_url: str | None = None
    pids: dict[str, int] = {}


def _state_path(settings: Settings) -> Path:
    return settings.home / "stack.json"


def read_state(settings: Settings) -> StackState | None:
    """What was written down last, or None; the processes in it may have ended since."""
    path = _state_path(settings)
    return msgspec.json.decode(path.read_bytes(), type=StackState) if path.exists() else None


def write_state(settings: Settings, state: StackState | None) -> None:
    """Write down what runs; None: nothing does."""
    path = _state_path(settings)
    if state is None:
        path.unlink(missing_ok=True)
        return
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
    partial.rename(path)


def database_url(settings: Settings) -> str:
    """The hub's PostgreSQL. Raises ConfigurationError when it is embedded and not running."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    state = read_state(settings)
    if state is None or state.postgres_port is None:
        raise ConfigurationError(
            "The embedded PostgreSQL is not running", _NOT_RUNNING.format(variable="LAH_DATABASE_URL")
        )
    return EmbeddedPostgres(settings.home / "postgres", port=state.postgres_port).url


def kafka_bootstrap(settings: Settings) -> str:
    """The broker. Raises ConfigurationError when there is none or it is embedded and not running."""
    if not settings.has_broker:
        raise ConfigurationError("This hub has no broker (LAH_KAFKA_BOOTSTRAP=none)", "Send events to the REST API")
    if settings.kafka_bootstrap is not None:
        return settings.kafka_bootstrap
    state = read_state(settings)
    if state is None or state.broker_port is None:
        raise ConfigurationError(
            "The embedded broker is not running", _NOT_RUNNING.format(variable="LAH_KAFKA_BOOTSTRAP")
        )
    return f"127.0.0.1:{state.broker_port}"


def running_broker(settings: Settings) -> str | None:
    """The broker, or None when there is none: not set, or embedded (and so in memory only) and not running."""
    try:
        return kafka_bootstrap(settings)
    except ConfigurationError:
        return None
