"""Rate cards between protobuf and plain values."""

from dataclasses import fields
from datetime import UTC

from lastmile.reconciliation.v1 import rate_card_pb2

from services.reconciliation.deliveries.codec import VEHICLES
from services.reconciliation.ledger.rates import PeakWindow, RateCard, RateTerms, Scope, SurgePeriod
from services.reconciliation.timestamps import datetime_of, timestamp

_VEHICLE_NUMBERS = {name: number for number, name in VEHICLES.items()}
_FIGURES = [field.name for field in fields(RateTerms) if field.name not in {"utc_offset_min", "peaks", "surges"}]


def scope_from(proto: rate_card_pb2.RateCardScope) -> Scope:
    """Return a scope as it was given."""
    return Scope(proto.city_code, VEHICLES[proto.vehicle], proto.network_code)


def terms_from(proto: rate_card_pb2.RateTerms) -> RateTerms:
    """Return terms as they were given."""
    offset = {"utc_offset_min": proto.utc_offset_min} if proto.HasField("utc_offset_min") else {}
    return RateTerms(
        **{name: getattr(proto, name) for name in _FIGURES},
        **offset,
        peaks=tuple(PeakWindow(p.weekday, p.start_min, p.end_min, p.bonus_paise) for p in proto.peaks),
        surges=tuple(SurgePeriod(datetime_of(s.starts_at), datetime_of(s.ends_at), s.extra_bp) for s in proto.surges),
    )


def card_to(card: RateCard) -> rate_card_pb2.RateCard:
    """Return a version as its callers see it."""
    scope, terms = card.scope, card.terms
    return rate_card_pb2.RateCard(
        id=str(card.id),
        scope=rate_card_pb2.RateCardScope(
            city_code=scope.city_code, vehicle=_VEHICLE_NUMBERS[scope.vehicle], network_code=scope.network_code
        ),
        version=card.version,
        effective_from=timestamp(card.effective_from.astimezone(UTC)),
        terms=rate_card_pb2.RateTerms(
            **{name: getattr(terms, name) for name in _FIGURES},
            utc_offset_min=terms.utc_offset_min,
            peaks=[
                rate_card_pb2.PeakWindow(
                    weekday=p.weekday, start_min=p.start_min, end_min=p.end_min, bonus_paise=p.bonus_paise
                )
                for p in terms.peaks
            ],
            surges=[
                rate_card_pb2.SurgePeriod(
                    starts_at=timestamp(s.starts_at), ends_at=timestamp(s.ends_at), extra_bp=s.extra_bp
                )
                for s in terms.surges
            ],
        ),
        created_at=timestamp(card.created_at),
        created_by=card.created_by,
    )
