"""Terms of a rate card as the JSON that is stored: integers, and times in ISO 8601."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from services.reconciliation.ledger.rates import PeakWindow, RateTerms, SurgePeriod


def terms_to_json(terms: RateTerms) -> dict[str, Any]:
    """Return the terms as what json.dumps takes."""
    surges = [
        {"starts_at": s.starts_at.isoformat(), "ends_at": s.ends_at.isoformat(), "extra_bp": s.extra_bp}
        for s in terms.surges
    ]
    return asdict(terms) | {"surges": surges}


def terms_from_json(stored: dict[str, Any]) -> RateTerms:
    """Return terms as they were stored. A term that is younger than the version has its default."""
    peaks = tuple(PeakWindow(**peak) for peak in stored["peaks"])
    surges = tuple(
        SurgePeriod(datetime.fromisoformat(s["starts_at"]), datetime.fromisoformat(s["ends_at"]), s["extra_bp"])
        for s in stored["surges"]
    )
    return RateTerms(**{**stored, "peaks": peaks, "surges": surges})
