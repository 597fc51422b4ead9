"""The merchant's words come before the company's before ours; the language before English."""

from uuid import uuid4

from services.notification.templates.book import StoredTemplate, TemplateBook
from services.notification.templates.builtin import Use

SMS = Use("delivered", "customer", "sms", "en")
VALUES = {"merchant_name": "Chai", "reference": "A1", "time": "12:00"}


def stored(body: str, use: Use = SMS, merchant_id: object = None) -> StoredTemplate:
    return StoredTemplate(uuid4(), merchant_id, use, 1, "", body)  # type: ignore[arg-type]  # a UUID or None


def said(book: TemplateBook, merchant_id: object, use: Use = SMS) -> str:
    found = book.find(merchant_id, use)  # type: ignore[arg-type]  # a UUID or None
    assert found is not None
    return found.body.render(VALUES)


def test_the_narrowest_owner_wins_and_others_never_see_it() -> None:
    mine, other, book = uuid4(), uuid4(), TemplateBook()
    assert said(book, mine) == "Your parcel A1 from Chai was delivered at 12:00."
    book.replace([stored("company"), stored("mine", merchant_id=mine)])
    assert (said(book, mine), said(book, other), said(book, None)) == ("mine", "company", "company")
    book.replace([])
    assert said(book, mine).startswith("Your parcel")


def test_a_language_comes_before_english_and_english_before_nothing() -> None:
    book, hindi = TemplateBook(), Use("delivered", "customer", "sms", "hi-IN")
    assert "पार्सल" in said(book, None, hindi)
    book.replace([stored("company")])
    assert "पार्सल" in said(book, None, hindi)
    assert said(book, None, Use("delivered", "customer", "sms", "ta")) == "company"
    assert book.find(None, Use("no_such_status", "customer", "sms", "en")) is None
