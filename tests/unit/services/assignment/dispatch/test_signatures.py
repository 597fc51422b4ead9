import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assignment.dispatch.signatures import SignatureError, SignedHeaders, sign, verify

OLD, NEW, OTHER = ("whsec_" + base64.b64encode(text * 24).decode() for text in (b"o", b"n", b"x"))
BODY = b'{"type":"offer.accepted"}'


def headers(secret: str = NEW, at: datetime | None = None, body: bytes = BODY) -> SignedHeaders:
    made = sign("msg_1", at or datetime.now(UTC), body, secret)
    return SignedHeaders(made["webhook-id"], made["webhook-timestamp"], made["webhook-signature"])


def check(given_headers: SignedHeaders, body: bytes = BODY, tolerance_s: int = 300) -> str:
    try:
        verify(given_headers, body, [NEW, OLD], tolerance_s, datetime.now(UTC))
    except SignatureError as error:
        return error.reason
    return ""


def test_either_secret_is_good_while_one_replaces_the_other_and_no_third() -> None:
    assert (check(headers(NEW)), check(headers(OLD)), check(headers(OTHER))) == ("", "", "WEBHOOK_SIGNATURE_INVALID")


def test_several_signatures_are_good_if_one_is() -> None:
    several = f"{headers(OTHER).signature} v2,abc {headers().signature}"
    assert check(replace(headers(), signature=several)) == ""


@pytest.mark.parametrize("minutes", [-6, 6])
def test_another_time_than_now_is_stale(minutes: int) -> None:
    assert check(headers(at=datetime.now(UTC) + timedelta(minutes=minutes))) == "WEBHOOK_STALE"


def test_the_tolerance_may_be_narrower() -> None:
    assert check(headers(at=datetime.now(UTC) - timedelta(seconds=90)), tolerance_s=60) == "WEBHOOK_STALE"


def test_nothing_that_is_signed_can_be_another() -> None:
    good = headers()
    assert check(good, BODY + b" ") == "WEBHOOK_SIGNATURE_INVALID"
    assert check(replace(good, id="msg_2")) == "WEBHOOK_SIGNATURE_INVALID"
    assert check(replace(good, timestamp=str(int(good.timestamp) + 1))) == "WEBHOOK_SIGNATURE_INVALID"


def test_without_secrets_nothing_is_signed() -> None:
    with pytest.raises(SignatureError):
        verify(headers(), BODY, [], 300, datetime.now(UTC))


@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=80), st.binary(max_size=40))
def test_whatever_comes_is_refused_and_never_an_accident(
    webhook_id: str, timestamp: str, signature: str, body: bytes
) -> None:
    assert check(SignedHeaders(webhook_id, timestamp, signature), body) != ""
    now = str(int(datetime.now(UTC).timestamp()))
    assert check(SignedHeaders("msg_1", now, f"v1,{signature}"), body) == "WEBHOOK_SIGNATURE_INVALID"
