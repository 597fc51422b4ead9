"""What a merchant's lists of partners may say."""

from libs.ids import new_id
from services.assignment.merchants.rules import list_violations

ONE, TWO, GONE = new_id(), new_id(), new_id()


def test_lists_of_partners_that_there_are_may_name_each_once() -> None:
    assert list_violations([ONE], [TWO], {ONE, TWO}) == []
    assert list_violations([], [], set()) == []


def test_an_unknown_partner_and_one_in_both_lists_are_named() -> None:
    found = list_violations([ONE, GONE], [TWO, GONE, ONE], {ONE, TWO})
    assert [(violation.field, violation.rule) for violation in found] == [
        ("allowed_partner_ids[1]", "partner.known"),
        ("denied_partner_ids[1]", "partner.known"),
        ("denied_partner_ids[2]", "merchant_partners.disjoint"),
    ]
