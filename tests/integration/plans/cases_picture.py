"""What the matcher's pictures are made of."""

from tests.integration.plans.case import BATCH, MATCHER, Case
from tests.integration.plans.world import BIG_CITY

PICTURE = [
    # The whole city, as a picture holds it.
    Case("assignment.picture.store.PARTNERS", lambda w: [BIG_CITY], 9_001, MATCHER),
    Case("assignment.picture.store.PARTNERS_BY_ID", lambda w: [w.online[:BATCH]], BATCH, MATCHER),
    Case("assignment.picture.store.LIVE", lambda w: [BIG_CITY], 16_000, MATCHER),
    Case("assignment.picture.store.DELIVERIES_BY_ID", lambda w: [w.assigned], BATCH, MATCHER, 2),
    Case("assignment.picture.store.OFFERS_OF", lambda w: [w.assigned], 2 * BATCH, MATCHER, 2),
    # What was completed there in a day.
    Case("assignment.picture.store.COMPLETED", lambda w: [BIG_CITY], 12_000, MATCHER),
    Case("assignment.picture.store.NETWORKS", lambda w: [], 100, MATCHER),
]
