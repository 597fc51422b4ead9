"""The route of live events."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from starlette.requests import Request

from libs.grpc_server.identity import Principal, Role, TokenSigner, TokenVerifier
from services.gateway.auth.credentials import Caller
from services.gateway.auth.rate_limits import RateLimiter, RateLimits
from services.gateway.live.endpoint import LiveEndpoint
from services.gateway.live.limits import LiveLimits


async def test_a_token_that_ends_while_its_request_is_counted_is_a_problem(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    signer = TokenSigner(private, timedelta(seconds=1))
    ended, _ = signer.sign(Principal("k", Role.OPS), datetime.now(UTC) - timedelta(seconds=5))

    async def identify(_: str) -> Caller:
        return Caller("key:k", ended)

    credentials = SimpleNamespace(identify=identify, is_new_key=lambda _: False)
    limiter = RateLimiter("redis://127.0.0.1:1/0", RateLimits())
    unused = cast(Any, None)
    route = LiveEndpoint(unused, cast(Any, credentials), TokenVerifier(public), limiter, LiveLimits())
    scope = {
        "type": "http", "method": "GET", "path": "/v1/live", "query_string": b"", "server": ("gateway", 80),
        "headers": [(b"authorization", f"Bearer {ended}".encode())],
    }  # fmt: skip
    response = await route.answer(Request(scope))
    assert (response.status_code, json.loads(bytes(response.body))["reason"]) == (401, "TOKEN_EXPIRED")
