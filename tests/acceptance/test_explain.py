"""Why a delivery has no partner, what would get it one, and whether that is true, over REST."""

import pytest

from tests.rest import CAPACITY, Json, Rest, until


@pytest.mark.parametrize(("weight_g", "text"), [(1_500, "weight -300 g"), (1_201, "weight -1 g")])
def test_a_parcel_that_is_too_heavy_is_told_by_how_much_and_goes_without_it(
    ops: Rest, weight_g: int, text: str
) -> None:
    city, merchant = ops.city(), ops.merchant()
    partner_id = ops.partner(city, capacity=CAPACITY | {"weightGMax": "1200"})
    heavy = ops.delivery(city, merchant, weightG=weight_g)

    def explained() -> Json | None:
        answer = ops.ask("GET", f"/v1/deliveries/{heavy}/explanation")
        found: Json = answer.json().get("explanation", {})
        return found if found.get("remediesTried") else None

    said = until(explained)
    assert said["partnersLost"] == {"TOO_HEAVY": 1}
    assert (said["remedies"][0]["kind"], said["remedies"][0]["text"]) == ("REMEDY_KIND_WEIGHT", text)
    lighter = ops.delivery(city, merchant, weightG=weight_g - int(said["remedies"][0]["amount"]))
    offer = until(lambda: ops.live_offer(lighter))
    assert offer["partnerId"] == partner_id
    me = ops.key("partner", partnerId=partner_id)
    stops = me.get(f"/v1/partners/{partner_id}/route")["stops"]
    assert [(stop["deliveryId"], stop["kind"]) for stop in stops] == [
        (lighter, "STOP_KIND_PICKUP"),
        (lighter, "STOP_KIND_DROP"),
    ]
