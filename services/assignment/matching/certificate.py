"""The numbers that prove a matching optimal, and their check, which trusts nothing of how they were found."""

from dataclasses import dataclass

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Problem
from services.assignment.matching.rulebook import RuleBook

UNASSIGNED = -1
CHECKED_PAIRS_MAX = 500_000
_HALF = 2**32


@dataclass(frozen=True)
class Certificate:
    """package_ms: (n,) and partner_ms: (m,) dual prices, in milliseconds-equivalent; partner prices are at most 0.

    left_out_ms: (n,) what leaving a package out costs in the matching's objective; matched_ms what the matched packages
    cost. By weak duality no matching costs less than lower_bound_ms; `optimal` says that the matching costs just that.
    """

    package_ms: Floats
    partner_ms: Floats
    left_out_ms: Floats
    matched_ms: int
    objective_ms: int
    lower_bound_ms: int

    @property
    def optimal(self) -> bool:
        """Say whether the matching is proven to be optimal."""
        return self.objective_ms == self.lower_bound_ms


def exact_sum_ms(values: Floats) -> int:
    """Return the sum of whole milliseconds as an integer: float64 holds each of them, but not always their sum."""
    high = np.floor(values / _HALF)
    return int(high.sum()) * _HALF + int((values - high * _HALF).sum())


def bound_ms(package_ms: Floats, partner_ms: Floats, slots: Ints) -> int:
    """Return what no matching can cost less than, if the prices are feasible (weak duality)."""
    # A product could be too large for float64: each slot's price counts by itself.
    return exact_sum_ms(package_ms) + sum(
        exact_sum_ms(partner_ms[slots == count]) * int(count) for count in np.unique(slots[partner_ms < 0])
    )


class CertificateError(AssertionError):
    """A certificate does not hold: which condition, and where."""


def verify(problem: Problem, book: RuleBook, partner: Ints, certificate: Certificate) -> None:
    """Check a certificate against every pair of the problem; CertificateError says what does not hold.

    Takes the time of the dense problem, in pieces of CHECKED_PAIRS_MAX pairs: for tests, audits and benchmarks.
    """
    n, m = len(problem.packages), len(problem.partners)
    u, v = certificate.package_ms, certificate.partner_ms
    if (v > 0).any():
        raise CertificateError(f"the price of partner {int(np.argmax(v))} is above 0")
    if (u > certificate.left_out_ms).any():
        raise CertificateError(f"package {int(np.argmax(u > certificate.left_out_ms))} is worth more than leaving it")
    slots = problem.partners.units_max
    lower_bound_ms = bound_ms(u, v, slots)
    if lower_bound_ms != certificate.lower_bound_ms:
        raise CertificateError(f"the prices add up to {lower_bound_ms}, not {certificate.lower_bound_ms}")
    # Whoever may get nothing is no constraint.
    v = np.where(slots > 0, v, -np.inf)
    step = max(1, CHECKED_PAIRS_MAX // max(1, m))
    for start in range(0, n, step):
        rows = np.arange(start, min(n, start + step))
        pairs = Edges(problem, np.repeat(rows, m), np.tile(np.arange(m), len(rows)))
        reduced = book.price(problem, pairs).cost_ms - u[pairs.package] - v[pairs.partner]
        if (reduced < 0).any():
            bad = int(np.argmin(reduced))
            raise CertificateError(f"pair ({pairs.package[bad]}, {pairs.partner[bad]}) would save {-reduced[bad]} ms")
    matched = np.flatnonzero(partner != UNASSIGNED)
    if (np.bincount(partner[matched], minlength=m) > slots).any():
        raise CertificateError("a partner has more packages than slots")
    cost_ms = book.price(problem, Edges(problem, matched, partner[matched])).cost_ms
    objective_ms = exact_sum_ms(cost_ms) + exact_sum_ms(certificate.left_out_ms[partner == UNASSIGNED])
    if objective_ms != certificate.objective_ms:
        raise CertificateError(f"the matching costs {objective_ms} ms, not {certificate.objective_ms} ms")
