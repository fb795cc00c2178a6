"""Which master key this hub uses: by LAH_MASTER_KEY_PROVIDER, else LAH_MASTER_KEY, else a file made in LAH_HOME."""

from lah_platform.privacy.master_key import HeldKeys, MasterKey, new_held_key, read_held_keys
from lah_platform.settings import Settings
from lah_platform.stores.aws_kms import AwsKms
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.secret_files import kept_secret
from lah_platform.stores.vault import VaultTransit

__all__ = ["hub_key_ring", "master_key"]

_FILE = "master.key"


def master_key(settings: Settings) -> MasterKey:
    """The master key's provider; nothing is asked over a network yet. Raises ConfigurationError when it is unusable."""
    provider = settings.master_key_provider or ("file" if settings.master_key is None else "environment")
    if provider == "vault" and settings.vault_url is not None:
        return VaultTransit(
            settings.vault_url,
            token=None if settings.vault_token is None else settings.vault_token.get_secret_value(),
            token_file=settings.vault_token_file,
            mount=settings.vault_mount,
            key=settings.vault_key,
            namespace=settings.vault_namespace,
        )
    if provider == "aws-kms" and settings.kms_key is not None:
        return AwsKms(settings.kms_key, settings.kms_region)
    if provider == "environment" and settings.master_key is not None:
        return HeldKeys("environment", read_held_keys(settings.master_key.get_secret_value(), "LAH_MASTER_KEY"))
    path = settings.home / _FILE
    return HeldKeys("file", read_held_keys(kept_secret(path, new_held_key), str(path)))


def hub_key_ring(settings: Settings) -> KeyRing | None:
    """The keys that encrypt personal fields; None with LAH_FIELD_ENCRYPTION=off. Raises ConfigurationError."""
    return None if settings.field_encryption == "off" else KeyRing(master_key(settings))
