"""Who sent a request: its id, the credential it brings, and the caller that this belongs to."""

import logging
import re

from starlette.requests import Request

from libs.grpc_server.errors import UnavailableError
from libs.ids import new_id_text
from libs.postgres.errors import UNREACHABLE
from services.gateway.auth.credentials import Caller, Credentials
from services.gateway.auth.rate_limits import RateLimiter
from services.gateway.rest.problems import refuse

log = logging.getLogger("access")

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,100}$")


def request_id_of(request: Request) -> str:
    """Return the id that the caller gave its request, or a new one."""
    given = request.headers.get("x-request-id", "")
    return given if _REQUEST_ID.match(given) else new_id_text()


def secret_of(request: Request) -> str:
    """Return the API key or access token of a request; empty when it brings none."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")


async def authenticate(request: Request, anonymous: bool, credentials: Credentials, limiter: RateLimiter) -> Caller:
    """Return the caller; raise ProblemError 401 without a good credential, 503 when it cannot be looked up."""
    client = request.client.host if request.client else "unknown"
    if anonymous:
        return Caller(f"client:{client}")
    secret = secret_of(request)
    if not secret:
        await limiter.admit(f"client:{client}")
        said = "send 'Authorization: Bearer <API key or access token>', or 'X-Api-Key: <API key>'"
        raise refuse(401, "UNAUTHENTICATED", said, WWW_Authenticate="Bearer")
    # Before a database is asked: keys that nobody has are made up faster than it answers.
    is_new = credentials.is_new_key(secret)
    if is_new:
        await limiter.admit(f"client:{client}")
    try:
        caller = await credentials.identify(secret)
    except (UnavailableError, *UNREACHABLE) as error:
        log.warning("no database answers for a credential", extra={"error": repr(error)})
        said = "the credential cannot be looked up at the moment; try again"
        raise refuse(503, "DATABASE_UNAVAILABLE", said) from None
    if caller is None:
        if not is_new:
            await limiter.admit(f"client:{client}")
        said = "the credential is unknown, expired or revoked"
        raise refuse(401, "CREDENTIAL_INVALID", said, WWW_Authenticate="Bearer")
    return caller
