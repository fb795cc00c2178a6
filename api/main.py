"""Where a server starts: `uvicorn api.main:build --factory`, or `python -m api.main`."""

import ipaddress
from typing import Final

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.services import Services
from lah_platform.errors import ConfigurationError
from lah_platform.ingress.door import EventDoor
from lah_platform.privacy.redaction import redactor
from lah_platform.settings import Settings, settings
from lah_platform.stack.endpoints import database_url, kafka_bootstrap
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.broker_health import BrokerHealth
from lah_platform.stores.doors import DirectDoor, KafkaDoor
from lah_platform.stores.keys import server_secret
from lah_platform.stores.master_keys import hub_key_ring
from lah_platform.stores.postgres import open_pool

__all__ = ["build", "build_services", "main"]

_POOL_CONNECTIONS: Final = 8
_LAST_ANSWERS_S: Final = 20  # more than the statements' limit
_SOCKET_BYTES: Final = 4096  # readers of the live stream have nothing to say
_STATEMENT_TIMEOUT_MS: Final = 15_000  # below the half minute after which proxies give up


def build_services(settings: Settings) -> Services:
    """The real parts as the settings say: events go to the broker, or straight to the database when there is none.

    Raises ConfigurationError when a part is not configured or not running.
    """
    url = database_url(settings)
    secret = server_secret(settings.home, settings.secret.get_secret_value() if settings.secret else None)
    keys = hub_key_ring(settings)
    door: EventDoor
    broker: BrokerHealth | None = None
    if settings.has_broker:
        bootstrap = kafka_bootstrap(settings)
        door = KafkaDoor(bootstrap, settings.topic)
        broker = BrokerHealth(bootstrap, settings.topic)
    else:
        door = DirectDoor(
            url,
            decoder=decode_now,
            series_limit=settings.series_limit,
            series_tags=settings.series_tags,
            strict_window=settings.strict_window,
            keys=keys,
            redact=redactor(),
        )
    return Services(
        pool=open_pool(
            url,
            application_name="lah-api",
            max_size=_POOL_CONNECTIONS,
            statement_timeout_ms=_STATEMENT_TIMEOUT_MS,
        ),
        door=door,
        settings=settings,
        secret=secret,
        keys=keys,
        broker_fault=broker.fault if broker else None,
        takes_demo_keys=_is_loopback(settings.api_host),
    )


def build() -> FastAPI:
    """The app on the process's settings, for `uvicorn --factory`."""
    return create_app(build_services(settings()), owns_services=True)


def main() -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigurationError when the certificate or its key is not there."""
    chosen = settings()
    for name in ("api_certificate", "api_certificate_key"):
        path = getattr(chosen, name)
        if path is not None and not path.is_file():
            raise ConfigurationError(f"LAH_{name.upper()}: there is no file {path}", "Name a PEM file that can be read")
    uvicorn.run(
        "api.main:build",
        factory=True,
        host=chosen.api_host,
        port=chosen.api_port,
        access_log=False,
        server_header=False,
        proxy_headers=bool(chosen.trusted_proxies),
        forwarded_allow_ips=chosen.trusted_proxies,
        ssl_certfile=chosen.api_certificate,
        ssl_keyfile=chosen.api_certificate_key,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
        ws_max_size=_SOCKET_BYTES,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    main()
