import time

from lastmile.assignment.v1 import assignment_pb2

from libs.grpc_server.validation import LONG_LIST_ITEMS, VIOLATIONS_MAX, violations_of


def problem(partners: int) -> assignment_pb2.MatchRequest:
    """A match whose partners have nothing but an id, and lack all else."""
    return assignment_pb2.MatchRequest(partners=[assignment_pb2.MatchPartner(id=str(n)) for n in range(partners)])


def test_tens_of_thousands_of_wrong_items_cost_no_more_than_those_that_are_named() -> None:
    request = problem(50_000)
    began_s = time.thread_time()
    violations = violations_of(request)
    assert time.thread_time() - began_s < 1
    assert len(violations) == VIOLATIONS_MAX


def test_a_long_list_is_named_as_a_short_one_is() -> None:
    long, short = violations_of(problem(LONG_LIST_ITEMS + 1)), violations_of(problem(LONG_LIST_ITEMS))
    assert long == short
    assert long[0].field == "partners[0].location"
