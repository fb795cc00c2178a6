"""A master key that never leaves AWS KMS. Needs `pip install 'llm-analytics-hub[aws]'`; boto3 finds credentials.

KMS rotates a key's material itself and keeps the old; after LAH_KMS_KEY changed, `lah encryption rotate` moves to it.
"""

from functools import cached_property
from typing import Any

from lah_platform.errors import ConfigurationError, StoreUnavailable, Unreadable

__all__ = ["AwsKms"]


class AwsKms:
    """A MasterKey: symmetric Encrypt and Decrypt, bound by an encryption context. `key` is an id, ARN or alias."""

    def __init__(self, key: str, region: str | None = None, endpoint: str | None = None) -> None:
        self._key = key
        self._region = region
        self._endpoint = endpoint

    @property
    def current(self) -> str:
        return f"aws-kms:{self._key}"

    def wrap(self, key: bytes, context: str) -> bytes:
        return bytes(self._asked("encrypt", KeyId=self._key, Plaintext=key, **_context(context))["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, wrapped_by: str, context: str) -> bytes:
        provider, _, key = wrapped_by.partition(":")
        if provider != "aws-kms":
            raise Unreadable(
                f"A key is wrapped by {wrapped_by}, not by AWS KMS", "Set LAH_MASTER_KEY_PROVIDER to what it was then"
            )
        return bytes(self._asked("decrypt", KeyId=key, CiphertextBlob=wrapped, **_context(context))["Plaintext"])

    @cached_property
    def _client(self) -> Any:
        try:
            import boto3  # not a dependency: the extra `aws`
        except ImportError as error:
            raise ConfigurationError(
                "LAH_MASTER_KEY_PROVIDER=aws-kms needs boto3", "Install it: pip install 'llm-analytics-hub[aws]'"
            ) from error
        return boto3.client("kms", region_name=self._region, endpoint_url=self._endpoint)

    def _asked(self, operation: str, **sent: Any) -> dict[str, Any]:
        client = self._client
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(client, operation)(**sent)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("InvalidCiphertextException", "IncorrectKeyException"):
                raise Unreadable("AWS KMS does not open a wrapped key", "Is it of another database?") from error
            if code in ("ThrottlingException", "KMSInternalException", "DependencyTimeoutException"):
                raise StoreUnavailable(f"AWS KMS answers {code}", "Landing tries again") from error
            raise ConfigurationError(
                f"AWS KMS answers {code}", "Allow kms:Encrypt and kms:Decrypt of LAH_KMS_KEY"
            ) from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"AWS KMS is away ({type(error).__name__})", "Landing tries again") from error
        return answer


def _context(context: str) -> dict[str, Any]:
    return {"EncryptionContext": {"lah": context}}
