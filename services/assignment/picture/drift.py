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
    """What a picture and a read do not agree on; `completed`: partners whose completed deliveries they count apart."""

    partners: frozenset[UUID] = frozenset()
    deliveries: frozenset[UUID] = frozenset()
    completed: frozenset[UUID] = frozenset()

    def __len__(self) -> int:
        return len(self.partners) + len(self.deliveries) + len(self.completed)


def suspects(
    picture: CityPicture,
    partners: Mapping[UUID, Partner],
    deliveries: Mapping[UUID, LiveDelivery],
    completed: Mapping[UUID, Sequence[float]],
    span_s: tuple[float, float],
) -> Suspects:
    """Return what differs, but for what the picture knows to be newer; `span_s`: of which completions are compared."""
    known = {partner.id for partner in picture.partners}
    return Suspects(
        frozenset(i for i in known | partners.keys() if _partner_differs(picture, i, partners.get(i))),
        frozenset(
            i for i in picture.deliveries.keys() | deliveries.keys() if _delivery_differs(picture, i, deliveries)
        ),
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


def partner_drift(picture: CityPicture, identifier: UUID, then: int | None, now: Partner | None) -> str | None:
    """Say what is wrong about a partner: None, "missed" or "differs".

    then: the version that a read had, all of whose events have been told since; None where there was no such partner.
    now: what a read says that no commit of this matcher can have overtaken.
    """
    known = picture.partners.get(identifier)
    if then is None:
        return "missed" if known is not None and now is None else None
    if (picture.partner_version(identifier) or 0) < then:
        return "missed"
    same = known is not None and now is not None and known.version == now.version
    return "differs" if same and now is not None and not _equal(picture, now) else None


def delivery_drift(picture: CityPicture, identifier: UUID, then: int | None, now: LiveDelivery | None) -> str | None:
    """Say what is wrong about a delivery, likewise; `now` is None for one that has ended."""
    known = picture.deliveries.get(identifier)
    if then is None:
        return "missed" if known is not None and now is None else None
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
    if read is None:
        return True
    version = picture.partner_version(identifier)
    return version is None or version < read.version or (version == read.version and not _equal(picture, read))


def _delivery_differs(picture: CityPicture, identifier: UUID, deliveries: Mapping[UUID, LiveDelivery]) -> bool:
    read = deliveries.get(identifier)
    if read is None:
        return True
    version, known = picture.delivery_version(identifier), picture.deliveries.get(identifier)
    return version is None or version < read.version or (version == read.version and known != read)


def _equal(picture: CityPicture, read: Partner) -> bool:
    return picture.partners.get(read.id) == replace(read, load=Load())


def _within(times: Sequence[float], span_s: tuple[float, float]) -> Counter[float]:
    return Counter(times[bisect_left(times, span_s[0]) : bisect_right(times, span_s[1])])
