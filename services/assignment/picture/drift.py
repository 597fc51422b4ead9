"""How a picture differs from a read of its city. Pure."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.assignment.partners.partner import Load, Partner
from services.assignment.picture.city_picture import CityPicture
from services.assignment.picture.facts import LiveDelivery


@dataclass(frozen=True, slots=True)
class Suspects:
    """What a picture and a read do not agree on, with the versions that the picture knew, 0 for none.

    completed: partners whose completed deliveries they count apart.
    """

    partners: Mapping[UUID, int]
    deliveries: Mapping[UUID, int]
    completed: frozenset[UUID]

    def __len__(self) -> int:
        return len(self.partners) + len(self.deliveries) + len(self.completed)


def suspects(
    picture: CityPicture,
    partners: Mapping[UUID, Partner],
    deliveries: Mapping[UUID, LiveDelivery],
    completed: Mapping[UUID, Sequence[float]],
    span_s: tuple[float, float],
) -> Suspects:
    """Return what differs; `span_s`: of which completions are compared."""
    known = {partner.id for partner in picture.partners} | partners.keys()
    live = picture.deliveries.keys() | deliveries.keys()
    return Suspects(
        {i: picture.partner_version(i) or 0 for i in known if _partner_differs(picture, i, partners.get(i))},
        {i: picture.delivery_version(i) or 0 for i in live if picture.deliveries.get(i) != deliveries.get(i)},
        completed_apart(picture, completed, span_s),
    )


def completed_apart(
    picture: CityPicture, completed: Mapping[UUID, Sequence[float]], span_s: tuple[float, float]
) -> frozenset[UUID]:
    """Return the partners who have completed other deliveries in a span of time than the picture counts."""
    return frozenset(
        identifier
        for identifier in {*completed, *picture.completed}
        if _within(picture.completed.get(identifier, ()), span_s) != _within(completed.get(identifier, ()), span_s)
    )


def partner_drift(
    picture: CityPicture, identifier: UUID, first: int, then: int | None, now: Partner | None
) -> str | None:
    """Say what is wrong about a partner: None, "missed", "ahead" or "differs".

    first: the version that the picture knew at first, which any read must show by now.
    then: the version that a read had, all of whose events have been told since; None where there was no such partner.
    now: what a read says that no commit of this matcher can have overtaken.
    """
    known = picture.partners.get(identifier)
    if then is None:
        return "missed" if known is not None and now is None else None
    if now is not None and now.version < first:
        return "ahead"
    if (picture.partner_version(identifier) or 0) < then:
        return "missed"
    same = known is not None and now is not None and known.version == now.version
    return "differs" if same and _partner_differs(picture, identifier, now) else None


def delivery_drift(
    picture: CityPicture, identifier: UUID, first: int, then: int | None, now: LiveDelivery | None
) -> str | None:
    """Say what is wrong about a delivery, likewise; `now` is None for one that has ended."""
    known = picture.deliveries.get(identifier)
    if then is None:
        return "missed" if known is not None and now is None else None
    if now is not None and now.version < first:
        return "ahead"
    if (picture.delivery_version(identifier) or 0) < then:
        return "missed"
    same = now is not None and picture.delivery_version(identifier) == now.version
    return "differs" if same and known != now else None


def load_drift(city_code: str, read: Iterable[Partner], deliveries: Iterable[LiveDelivery]) -> list[UUID]:
    """Return the partners of a read whose load is not the sum of what they hold in it."""
    held: dict[UUID, Load] = {}
    for live in deliveries:
        if live.offer is not None:
            before = held.get(live.offer.partner_id, Load())
            held[live.offer.partner_id] = Load(
                before.parcels + 1, before.weight_g + live.weight_g, before.volume_cm3 + live.volume_cm3
            )
    return [p.id for p in read if p.load != held.get(p.id, Load()) and p.profile.city_code == city_code]


def _partner_differs(picture: CityPicture, identifier: UUID, read: Partner | None) -> bool:
    return picture.partners.get(identifier) != (None if read is None else replace(read, load=Load()))


def _within(times: Sequence[float], span_s: tuple[float, float]) -> Counter[float]:
    return Counter(times[bisect_left(times, span_s[0]) : bisect_right(times, span_s[1])])
