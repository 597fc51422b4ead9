import pytest
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.rest.conditional import answer_of, tag_of

BODY = b'{"partners":[]}'
TAG = tag_of(BODY)


def answer(*given: str) -> Response:
    headers = [(b"if-none-match", value.encode()) for value in given]
    return answer_of(Request({"type": "http", "headers": headers}), BODY, TAG, {"Lastmile-Age-Ms": "5"})


@pytest.mark.parametrize("given", [TAG, f"W/{TAG}", f'"other", {TAG}', f'"other",W/{TAG} ', "*"])
def test_who_has_the_content_is_told_so_without_it(given: str) -> None:
    response = answer(given)
    assert (response.status_code, response.body) == (304, b"")
    assert (response.headers["ETag"], response.headers["Lastmile-Age-Ms"]) == (TAG, "5")
    assert "content-length" not in response.headers


@pytest.mark.parametrize("given", [(), ("",), ('"other"',), (TAG.strip('"'),), (tag_of(b"{}"),), ("W/",)])
def test_anybody_else_gets_the_content(given: tuple[str, ...]) -> None:
    response = answer(*given)
    assert (response.status_code, response.body) == (200, BODY)
    assert response.headers["Cache-Control"] == "private, no-cache"


def test_the_tag_follows_from_the_content_alone() -> None:
    assert tag_of(BODY) == TAG != tag_of(BODY + b" ")
