import pytest

from services.assignment.dispatch.mapping import CallMapping, escaped, filled, picked


def test_a_template_makes_nested_json_and_leaves_out_what_is_not_known() -> None:
    template = {"ref": "offer_id", "courier.id": "partner_reference", "courier.note": "reason", "cod": "cash"}
    values = {"offer_id": "o1", "partner_reference": "c7", "reason": None, "cash": 0}
    assert filled(template, values) == {"ref": "o1", "courier": {"id": "c7"}, "cod": 0}


@pytest.mark.parametrize(("path", "found"), [("a.b", 1), ("a", {"b": 1}), ("a.c", None), ("a.b.c", None), ("x", None)])
def test_a_path_picks_what_is_there_and_none_where_nothing_is(path: str, found: object) -> None:
    assert picked({"a": {"b": 1}}, path) == found


@pytest.mark.parametrize("body", [None, [], "text", 7, [{"a": 1}]])
def test_a_path_picks_nothing_from_what_is_no_object(body: object) -> None:
    assert picked(body, "a") is None


def test_what_fills_a_path_stays_one_segment() -> None:
    call = CallMapping(path="/offers/{offer_id}/end")
    assert call.path_of({"offer_id": "../a b?x=ü"}) == "/offers/..%2Fa%20b%3Fx%3D%C3%BC/end"
    assert escaped("a-b_c.d~e") == "a-b_c.d~e"
    assert call.names() == {"offer_id"}
