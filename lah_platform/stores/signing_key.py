"""The hub's signing key: LAH_SIGNING_KEY, else one made in LAH_HOME."""

import base64
import secrets

from lah_platform.compliance.signing import Signer
from lah_platform.settings import Settings
from lah_platform.stores.secret_files import kept_secret

__all__ = ["hub_signer"]

_SEED_BYTES = 32


def hub_signer(settings: Settings) -> Signer:
    """The signer of this hub's evidence. Raises ConfigurationError when LAH_SIGNING_KEY is unusable."""
    if settings.signing_key is not None:
        return Signer(settings.signing_key.get_secret_value())
    return Signer(kept_secret(settings.home / "signing.key", _new_seed))


def _new_seed() -> str:
    return base64.b64encode(secrets.token_bytes(_SEED_BYTES)).decode()
