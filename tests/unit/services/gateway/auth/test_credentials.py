import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.requests import Request

from libs.grpc_server.identity import Role, TokenSigner
from libs.ids import new_id
from libs.postgres.errors import UNREACHABLE
from services.gateway.auth.credentials import CredentialLimits, Credentials
from services.gateway.auth.rate_limits import RateLimiter, RateLimits
from services.gateway.auth.store import ApiKey
from services.gateway.rest.callers import authenticate
from services.gateway.rest.problems import ProblemError

KEY = "lm_" + "a" * 43
ROW = {
    "id": UUID("01a20000-0000-7000-8000-000000000000"),
    "name": "test",
    "role": Role.OPS.value,
    "merchant_id": None,
    "partner_id": None,
    "created_at": datetime.now(UTC),
    "expires_at": None,
    "revoked_at": None,
}


class Database:
    """A pool that answers with a row, with none, or with an error; and counts."""

    def __init__(self, answer: dict[str, Any] | Exception | None) -> None:
        self.answer, self.asked = answer, 0

    async def fetchrow(self, *_: Any) -> dict[str, Any] | None:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Queries:
    """The read side, which asks the primary where the standby does not answer."""

    def __init__(self, standby: Database, primary: Database) -> None:
        self.standby, self.primary, self.is_up = standby, primary, True

    @asynccontextmanager
    async def reading(self, *_: Any) -> AsyncIterator[Any]:
        try:
            yield SimpleNamespace(connection=self.standby if self.is_up else self.primary, position=self.is_up or None)
        except Exception:
            self.is_up = False
            raise

    @asynccontextmanager
    async def reading_primary(self, *_: Any) -> AsyncIterator[Any]:
        yield SimpleNamespace(connection=self.primary, position=None)


def credentials(standby: Database, primary: Database) -> Credentials:
    unused = cast(Any, None)
    return Credentials(cast(Any, Queries(standby, primary)), unused, unused, CredentialLimits())


@pytest.mark.parametrize("error", [asyncpg.CannotConnectNowError(), OSError(), TimeoutError()])
async def test_a_standby_that_is_away_leaves_the_question_to_the_primary(error: Exception) -> None:
    found = await credentials(Database(error), Database(ROW)).find(KEY)
    assert found is not None
    assert found.id == ROW["id"]


async def test_a_key_is_unknown_only_when_a_database_says_so() -> None:
    away = asyncpg.CannotConnectNowError()
    assert await credentials(Database(away), Database(None)).find(KEY) is None
    with pytest.raises(UNREACHABLE):
        await credentials(Database(away), Database(away)).find(KEY)


async def test_an_unknown_key_asks_the_primary_once() -> None:
    standby, primary = Database(None), Database(None)
    asked = credentials(standby, primary)
    assert [await asked.find(KEY) for _ in range(3)] == [None] * 3
    assert (standby.asked, primary.asked) == (1, 1)


async def test_many_callers_with_one_key_ask_a_database_once() -> None:
    standby = Database(ROW)
    asked = credentials(standby, Database(None))
    found = await asyncio.gather(*(asked.find(KEY) for _ in range(50)))
    assert {key.id for key in found if key is not None} == {ROW["id"]}
    assert standby.asked == 1


async def test_keys_that_one_client_makes_up_are_counted_before_a_database_is_asked() -> None:
    standby, primary = Database(None), Database(None)
    asked = credentials(standby, primary)
    # Nothing answers there: this process counts.
    limiter = RateLimiter("redis://127.0.0.1:1/0", RateLimits(requests_max=5, span_s=60))
    statuses = []
    for number in range(20):
        headers = [(b"x-api-key", f"lm_{number:043}".encode())]
        request = Request({"type": "http", "headers": headers, "client": ("192.0.2.1", 1)})
        with pytest.raises(ProblemError) as refused:
            await authenticate(request, False, asked, limiter)
        statuses.append(refused.value.problem.status)
    assert statuses == [401] * 5 + [429] * 15
    assert (standby.asked, primary.asked) == (5, 5)


def test_an_access_token_does_not_outlive_its_key(tmp_path: Path) -> None:
    private = tmp_path / "private.pem"
    key = Ed25519PrivateKey.generate()
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    unused, limits = cast(Any, None), CredentialLimits()
    made = Credentials(unused, TokenSigner(private, timedelta(seconds=limits.token_s)), unused, limits)
    now = datetime.now(UTC)
    ends_at = now + timedelta(seconds=20)
    short = ApiKey(new_id(), "short", Role.OPS, None, None, now, expires_at=ends_at)
    assert timedelta() < made.token_of(short)[1] - ends_at <= timedelta(seconds=1)
    forever = ApiKey(new_id(), "forever", Role.OPS, None, None, now)
    assert made.token_of(forever)[1] >= now + timedelta(seconds=limits.token_s)
    assert made.token_of(forever) == made.token_of(forever)
