"""Opens what verifies the tokens of an application's users, by the settings."""

from __future__ import annotations

from sluice.adapters.https_document import HttpsDocument
from sluice.api.token_keys import FetchedKeys
from sluice.api.users import TokenRules, UserTokens
from sluice.app.settings.validation import Settings, SettingsError
from sluice.ports.bundle import Ports


def open_tokens(settings: Settings, ports: Ports) -> UserTokens | None:
    """What verifies the tokens of users; None where none are accepted. Raises ``SettingsError``."""
    security = settings.security
    if not security.jwt_secret and not security.jwt_keys:
        return None
    is_address = security.jwt_keys.startswith(("https://", "http://"))
    rules = TokenRules(
        secret=security.jwt_secret,
        keys_file="" if is_address else security.jwt_keys,
        audience=security.jwt_audience,
        issuer=security.jwt_issuer,
        user_claim=security.jwt_user_claim,
        tenant_claim=security.jwt_tenant_claim,
        permissions_claim=security.jwt_permissions_claim,
    )
    try:
        document = HttpsDocument(security.jwt_keys) if is_address else None
        keys = FetchedKeys(document, clock=ports.clock, journal=ports.journal) if document else None
        return UserTokens(rules, keys=keys)
    except ModuleNotFoundError as error:
        raise SettingsError(
            ["security.jwt_secret, security.jwt_keys: need the extra, pip install 'sluice[jwt]'"]
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SettingsError([f"security.jwt_secret, security.jwt_keys: {error}"]) from None
