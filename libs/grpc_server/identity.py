"""Who calls: principals, and the short-lived signed tokens that carry them between services."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import jwt

from libs.grpc_server.errors import UnauthenticatedError

ALGORITHM = "EdDSA"
AUDIENCE = "lastmile"
VERIFIED_TOKENS_MAX = 10_000


class Role(StrEnum):
    """What a caller is; lastmile.common.v1.Role in words."""

    MERCHANT = "merchant"
    OPS = "ops"
    PARTNER = "partner"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `subject` names the credential; a merchant or partner also has its own id."""

    subject: str
    role: Role
    merchant_id: str | None = None
    partner_id: str | None = None

    def __post_init__(self) -> None:
        if (self.role is Role.MERCHANT) != (self.merchant_id is not None):
            raise ValueError(f"merchant_id {self.merchant_id!r} does not fit role {self.role}")
        if (self.role is Role.PARTNER) != (self.partner_id is not None):
            raise ValueError(f"partner_id {self.partner_id!r} does not fit role {self.role}")

    @property
    def scope(self) -> str:
        """Whose idempotency keys these are: the merchant's, the partner's, or those of ops."""
        return f"{self.role}:{self.merchant_id or self.partner_id or ''}".rstrip(":")


class TokenSigner:
    """Makes access tokens with the Ed25519 private key that the gateway alone holds."""

    def __init__(self, private_key_file: Path, lifetime: timedelta) -> None:
        self._key = private_key_file.read_text()
        self._lifetime = lifetime

    def sign(self, principal: Principal, now: datetime, until: datetime | None = None) -> tuple[str, datetime]:
        """Return a token for `principal` and the moment it expires, which is the second after `until` at the latest."""
        expires_at = now + self._lifetime
        if until is not None:
            # Tokens count whole seconds: one that is cut off would end before its key.
            expires_at = min(expires_at, until.replace(microsecond=0) + timedelta(seconds=1))
        claims = {
            "sub": principal.subject,
            "role": principal.role.value,
            "aud": AUDIENCE,
            "iat": now,
            "exp": expires_at,
        }
        if principal.merchant_id:
            claims["merchant_id"] = principal.merchant_id
        if principal.partner_id:
            claims["partner_id"] = principal.partner_id
        return jwt.encode(claims, self._key, algorithm=ALGORITHM), expires_at


class TokenVerifier:
    """Checks access tokens with the public key, remembering those that it has verified until they expire."""

    def __init__(self, public_key_file: Path) -> None:
        self._key = public_key_file.read_text()
        self._verified: OrderedDict[str, tuple[Principal, float]] = OrderedDict()

    def verify(self, token: str) -> Principal:
        """Return the token's principal; raise UnauthenticatedError when it is forged, expired or not one of ours."""
        now_s = datetime.now(UTC).timestamp()
        known = self._verified.get(token)
        if known is not None and known[1] > now_s:
            return known[0]
        try:
            claims = jwt.decode(
                token, self._key, algorithms=[ALGORITHM], audience=AUDIENCE, options={"require": ["exp", "sub", "role"]}
            )
            principal = Principal(
                claims["sub"], Role(claims["role"]), claims.get("merchant_id"), claims.get("partner_id")
            )
        except jwt.ExpiredSignatureError:
            raise UnauthenticatedError("the access token has expired; get a new one", reason="TOKEN_EXPIRED") from None
        except (jwt.InvalidTokenError, ValueError):
            raise UnauthenticatedError("the access token is not valid", reason="TOKEN_INVALID") from None
        self._verified[token] = (principal, float(claims["exp"]))
        if len(self._verified) > VERIFIED_TOKENS_MAX:
            self._verified.popitem(last=False)
        return principal
