import pytest

from services.gateway.auth.rate_limits import RateLimiter, RateLimits
from services.gateway.rest.problems import ProblemError

NOBODY = "redis://127.0.0.1:1/0"


async def test_the_first_hundredth_of_a_span_is_let_pass_without_asking_redis() -> None:
    limiter = RateLimiter(NOBODY, RateLimits(requests_max=1_000, span_s=60))
    for caller in ("one", "two"):
        for _ in range(10):
            await limiter.admit(caller)
    assert limiter.fallbacks == 0
    await limiter.admit("one")
    assert limiter.fallbacks == 1


async def test_a_caller_who_asks_for_more_is_refused_with_that_hundredth_on_top() -> None:
    limiter = RateLimiter(NOBODY, RateLimits(requests_max=200, span_s=60))
    for _ in range(202):
        await limiter.admit("one")
    with pytest.raises(ProblemError) as refused:
        await limiter.admit("one")
    assert refused.value.problem.status == 429
    await limiter.admit("two")
