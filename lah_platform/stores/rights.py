"""What the rights of persons need of this hub: keys, signer, archive, broker; the same for command and API."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lah_platform.compliance.signing import Signer
from lah_platform.errors import ConfigurationError
from lah_platform.privacy.erasure import Expiry
from lah_platform.settings import Settings
from lah_platform.stores.broker_retention import topic_expiry
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.signing_key import hub_signer

__all__ = ["Rights", "rights_of"]


@dataclass(frozen=True)
class Rights:
    """The parts; `broker` is asked when an erasure needs it."""

    keys: KeyRing
    signer: Signer
    archive_dir: Path | None
    bootstrap: str | None
    topic: str

    def broker(self, now: datetime) -> Expiry:
        """Until when the topic keeps what it has at `now` (UTC)."""
        return topic_expiry(self.bootstrap, self.topic, now)


def rights_of(settings: Settings, keys: KeyRing | None, bootstrap: str | None) -> Rights:
    """The parts as the settings say. Raises ConfigurationError when fields are not encrypted: nothing can go then."""
    if keys is None:
        raise ConfigurationError(
            "Fields are not encrypted here (LAH_FIELD_ENCRYPTION=off), so persons cannot be told apart or erased",
            "Switch it on; events from then on are encrypted",
        )
    return Rights(keys, hub_signer(settings), settings.archive_dir, bootstrap, settings.topic)
