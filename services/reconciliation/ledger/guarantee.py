"""The hourly guarantee: a partner earns at least a guaranteed amount for each hour on duty.

pay = sum over partners of max(deliveries * rate, on-duty hours * guarantee), in whole paise. On-duty time is counted in
seconds; its guaranteed amount is rounded once for each partner, half to even, and exact for whole hours.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from libs.money.amount import fits, total
from libs.money.rounding import share

SECONDS_PER_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Duty:
    """What one partner did in the period that the guarantee is for."""

    earned_paise: int
    on_duty_s: int

    @classmethod
    def at_flat_rate(cls, deliveries: int, rate_paise: int, on_duty_s: int) -> "Duty":
        """Return the duty of a partner who earns the same for every delivery."""
        return cls(fits(deliveries * rate_paise), on_duty_s)


def guaranteed_paise(on_duty_s: int, guarantee_paise_per_h: int) -> int:
    """Return what time on duty guarantees."""
    return share(guarantee_paise_per_h, on_duty_s, SECONDS_PER_HOUR)


def top_up_paise(duty: Duty, guarantee_paise_per_h: int) -> int:
    """Return what a partner is paid on top of what it earned."""
    return max(0, guaranteed_paise(duty.on_duty_s, guarantee_paise_per_h) - duty.earned_paise)


def pay_paise(duties: Iterable[Duty], guarantee_paise_per_h: int) -> int:
    """Return what all partners are paid together: what each earned, or its guarantee where that is more."""
    return total(duty.earned_paise + top_up_paise(duty, guarantee_paise_per_h) for duty in duties)
