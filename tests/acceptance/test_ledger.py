"""A delivery's pay on the whole platform: from the hand-over to the explained paisa, over REST."""

from tests.rest import Json, Rest, until

TERMS = {"basePaise": "2500", "perKmPaise": "800", "merchantMarkupBp": 2_500, "gstBp": 1_800, "tdsBp": 100}
CASH = {"currencyCode": "INR", "amountMinor": "49900"}


def rate_card(ops: Rest, city_code: str, **terms: object) -> Json:
    body = {
        "scope": {"cityCode": city_code, "vehicle": "VEHICLE_MOTORCYCLE"},
        "effectiveFrom": "2026-01-01T00:00:00Z",
        "terms": TERMS | terms,
    }
    made: Json = ops.post("/v1/rate-cards", body)["rateCard"]
    return made


def handed_over(ops: Rest, city_code: str, merchant_id: str) -> str:
    """A delivery that somebody carried to its customer."""
    delivery_id = ops.delivery(city_code, merchant_id, cashOnDelivery=CASH)
    offer = until(lambda: ops.live_offer(delivery_id))
    ops.post(f"/v1/offers/{offer['id']}:accept")
    for state in ("PICKED_UP", "OUT_FOR_DELIVERY", "DELIVERED"):
        ops.post(f"/v1/deliveries/{delivery_id}:recordStatus", {"state": f"DELIVERY_STATE_{state}"})
    return delivery_id


def entries(caller: Rest, delivery_id: str) -> list[Json]:
    """What is booked for a delivery, nothing while it is not."""
    answer = caller.ask("GET", f"/v1/ledger/deliveries/{delivery_id}/entries")
    assert answer.status_code in {200, 404}, answer.text
    return list(answer.json()["entries"]) if answer.status_code == 200 else []


def test_a_hand_over_is_paid_and_every_paisa_is_explained(ops: Rest) -> None:
    city_code, merchant_id = ops.city(), ops.merchant()
    card, partner_id = rate_card(ops, city_code), ops.partner(city_code)
    delivery_id = handed_over(ops, city_code, merchant_id)
    (entry,) = until(lambda: entries(ops, delivery_id))
    assert sum(int(posting["amountPaise"]) for posting in entry["postings"]) == 0
    assert (entry["rateCardId"], entry["partnerId"], entry["merchantId"]) == (card["id"], partner_id, merchant_id)
    assert entry["explanation"]["agrees"]
    # 5,185 m: 2,500 and 4,148, less 1 %; the merchant pays 125 % and 18 % of that, less the cash collected for it.
    for account, paise in ((f"partner/{partner_id}", 66 - 6_648), (f"cash/{partner_id}", 49_900),
                           (f"merchant/{merchant_id}", 8_310 + 1_496 - 49_900)):  # fmt: skip
        found = ops.get(f"/v1/ledger/accounts/{account}/balance")
        assert int(found["balancePaise"]) == paise, account
        assert found["account"] == account.replace("/", ":")
    then = ops.get(f"/v1/ledger/accounts/cash/{partner_id}/balance?at=2026-01-01T00:00:00Z")
    assert int(then["balancePaise"]) == 0


def test_each_sees_what_is_its_own_and_nothing_of_others(ops: Rest) -> None:
    city_code, merchant_id = ops.city(), ops.merchant()
    rate_card(ops, city_code)
    partner_id = ops.partner(city_code)
    delivery_id = handed_over(ops, city_code, merchant_id)
    until(lambda: entries(ops, delivery_id))
    merchant, stranger = ops.key("merchant", merchantId=merchant_id), ops.key("merchant", merchantId=ops.merchant())
    partner = ops.key("partner", partnerId=partner_id)
    (seen,) = until(lambda: entries(merchant, delivery_id))
    assert {posting["account"] for posting in seen["postings"]} == {f"merchant:{merchant_id}"}
    (seen,) = until(lambda: entries(partner, delivery_id))
    assert {posting["account"] for posting in seen["postings"]} == {f"partner:{partner_id}", f"cash:{partner_id}"}
    assert entries(stranger, delivery_id) == []
    for caller, account in ((merchant, f"partner/{partner_id}"), (stranger, f"merchant/{merchant_id}"),
                            (partner, "platform/fees")):  # fmt: skip
        refused = caller.ask("GET", f"/v1/ledger/accounts/{account}/balance")
        assert (refused.status_code, refused.json()["reason"]) == (404, "ACCOUNT_NOT_FOUND")
