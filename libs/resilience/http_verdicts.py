"""What errors of httpx mean, for adapters that speak HTTP with it."""

import httpx

from libs.resilience.errors import AttemptTimeoutError, Outcome
from libs.resilience.statuses import status_verdict
from libs.resilience.verdict import Verdict

# Nothing of the request was sent.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def http_verdict(error: Exception, *, is_idempotent: bool) -> Verdict | None:
    """Return what an error means; `is_idempotent` is whether the same request again is harmless when the first worked.

    An adapter that raises httpx.HTTPStatusError for its statuses (`response.raise_for_status()`) needs nothing else.
    """
    if isinstance(error, _NOT_SENT):
        return Verdict(counts=True, retryable=True, outcome=Outcome.CERTAINLY_NOT)
    if isinstance(error, httpx.HTTPStatusError):
        return status_verdict(error.response.status_code, error.response.headers, is_idempotent=is_idempotent)
    if isinstance(error, httpx.TransportError | httpx.DecodingError | AttemptTimeoutError):
        return Verdict(counts=True, retryable=is_idempotent, outcome=Outcome.UNKNOWN)
    return None
