"""What must hold of a merchant's lists of partners beyond their proto's rules."""

from collections.abc import Collection, Sequence
from uuid import UUID

from libs.grpc_server.errors import FieldViolation


def list_violations(
    allowed: Sequence[UUID], denied: Sequence[UUID], existing: Collection[UUID]
) -> list[FieldViolation]:
    """Return what is wrong with the lists; `existing`: those of their partners that there are."""
    found = []
    for name, ids in (("allowed_partner_ids", allowed), ("denied_partner_ids", denied)):
        for place, partner_id in enumerate(ids):
            if partner_id not in existing:
                found.append(FieldViolation(f"{name}[{place}]", f"no partner has the id {partner_id}", "partner.known"))
            elif ids is denied and partner_id in allowed:
                said = f"{partner_id} stands in allowed_partner_ids, too"
                found.append(FieldViolation(f"{name}[{place}]", said, "merchant_partners.disjoint"))
    return found
