import pytest
from pydantic import ValidationError

from libs.resilience.limits import DependencyLimits


def test_a_deadline_that_holds_no_whole_attempt_is_refused() -> None:
    with pytest.raises(ValidationError, match="deadline_ms"):
        DependencyLimits(deadline_ms=1_000, attempt_ms=900, wait_ms_max=200)
