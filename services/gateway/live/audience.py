"""Who may see which events, and which of them somebody asked for. What is in doubt is not shown."""

from collections.abc import Iterator
from dataclasses import dataclass

from libs.grpc_server.identity import Principal, Role

# A heading of the index that events are found under by those who follow.
Heading = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Concern:
    """Whom and what an event concerns; empty where it concerns none."""

    merchant_id: str
    city_code: str
    delivery_id: str
    partner_ids: frozenset[str]

    def headings(self) -> Iterator[Heading]:
        """Yield every heading that the event stands under."""
        yield "all", ""
        yield "merchant", self.merchant_id
        yield "city", self.city_code
        yield "delivery", self.delivery_id
        for partner_id in self.partner_ids:
            yield "partner", partner_id


@dataclass(frozen=True, slots=True)
class Audience:
    """What one stream shows: what its caller may see, and of that what it asked for. Empty is no condition."""

    role: Role
    merchant_id: str = ""
    partner_id: str = ""
    city_code: str = ""
    delivery_id: str = ""

    @classmethod
    def of(cls, principal: Principal, merchant_id: str, city_code: str, delivery_id: str) -> "Audience":
        """Return what `principal` sees of what it asks for; `merchant_id` is nobody else's."""
        own = principal.merchant_id or merchant_id
        partner_id = (principal.partner_id or "").lower()
        return cls(principal.role, own.lower(), partner_id, city_code, delivery_id.lower())

    @property
    def sees_everything(self) -> bool:
        """Whether nothing is left out of what it is shown."""
        return self.role is Role.OPS

    @property
    def view(self) -> str:
        """All audiences of the same view are shown the same of an event."""
        return f"{self.role}:{self.partner_id}"

    @property
    def heading(self) -> Heading:
        """The narrowest heading that everything stands under that it sees."""
        for name in ("delivery", "merchant", "partner"):
            if value := getattr(self, f"{name}_id"):
                return name, value
        return ("city", self.city_code) if self.city_code else ("all", "")

    def might_see(self, envelope: bytes | None) -> bool:
        """Whether an envelope, as the relay publishes it, has to be decoded to know; the rest is passed over."""
        text = envelope or b""
        return all(name.encode() in text for name in (self.merchant_id, self.city_code, self.delivery_id) if name)

    def sees(self, concern: Concern) -> bool:
        """Whether it is shown an event."""
        if self.role is Role.MERCHANT and not self.merchant_id:
            return False
        if self.role is Role.PARTNER and self.partner_id not in concern.partner_ids:
            return False
        return (
            self.merchant_id in ("", concern.merchant_id)
            and self.city_code in ("", concern.city_code)
            and self.delivery_id in ("", concern.delivery_id)
        )
