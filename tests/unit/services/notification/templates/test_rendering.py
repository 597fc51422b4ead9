"""What is wrong with a template is said when it is stored; what is stored renders, within its bounds."""

from typing import cast

import pytest
from jinja2 import Template

from services.notification.templates.builtin import BUILTIN
from services.notification.templates.language import Compiled, TemplateTextError
from services.notification.templates.rendering import RenderLimits, checked, render, sms_segments

LIMITS = RenderLimits()


def test_every_template_that_is_brought_along_renders() -> None:
    for use, (subject, body) in BUILTIN.items():
        assert checked(use.status, use.channel, subject, body, LIMITS).body, use


def test_a_text_message_says_what_its_template_does_with_its_values() -> None:
    words = checked(
        "delivered",
        "sms",
        "",
        "{{ merchant_name }}: {{ reference }}{% if reason %} {{ reason|words }}{% endif %}",
        LIMITS,
    )
    assert words.body == "Chai & Co: ORDER-1042 customer unreachable"


@pytest.mark.parametrize(
    ("subject", "body", "said"),
    [
        ("", "{{ phone_number }}", "knows no phone_number"),
        ("", "{{ reference", "body, line 1"),
        ("", "{% if reference %}", "body, line 1"),
        ("", "   {# nothing #}  ", "renders to nothing"),
        ("", "{{ recipient_name }}", "renders to nothing"),
        ("", "{% if reason %}{{ reference }}{% endif %}", "renders to nothing"),
        ("", "{{ city_name }}", "renders to nothing"),
        ("", "{% if reference %}{% if reason %}x{% endif %}{% else %}y{% endif %}", "renders to nothing"),
        ("", "{% if status == 'out_for_delivery' %}x{% endif %}", "renders to nothing"),
        ("Subject", "text", "subject: a text message has none"),
        ("", "x" * 10_000_000, "has 10000000 characters"),
        ("", "x" * 1_001, "renders to 1001 characters"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_reason(subject: str, body: str, said: str) -> None:
    with pytest.raises(TemplateTextError, match=said):
        checked("delivered", "sms", subject, body, LIMITS)


def test_a_template_may_choose_by_the_status_that_it_is_for() -> None:
    assert checked("delivered", "sms", "", "{% if status == 'delivered' %}Hi{% endif %}", LIMITS).body == "Hi"


def test_a_digest_is_tried_with_what_digests_tell_of_and_may_leave_out() -> None:
    by_status = "{% for i in items %}{% if i.status == 'returned' %}back{% endif %}{% endfor %}"
    assert checked("digest", "email", "news", by_status, LIMITS).body == "back"
    with pytest.raises(TemplateTextError, match="renders to nothing"):
        checked("digest", "email", "news", "{% for i in items %}{{ i.reference }}{% endfor %}", LIMITS)


def test_what_is_no_code_is_said_as_it_is() -> None:
    assert checked("delivered", "sms", "", "{{ 5 | words }}", LIMITS).body == "5"


@pytest.mark.parametrize("error", [AttributeError("a"), RecursionError("b"), ZeroDivisionError("c")])
def test_whatever_a_template_does_it_has_no_words_and_breaks_nobody(error: Exception) -> None:
    class Broken:
        def render(self, values: object) -> str:
            raise error

    broken = Compiled(cast(Template, Broken()), cast(Template, Broken()))
    with pytest.raises(TemplateTextError, match="does not render"):
        render(broken, "sms", {}, LIMITS)


@pytest.mark.parametrize(
    "body",
    [
        "{{ reference.__class__.__mro__ }}",
        "{{ ''.join(reference) }}",
        "{{ 'x' * 1000000000 }}",
        "{{ 'x' ~ reference }}",
        "{% for i in range(1000000000) %}x{% endfor %}",
        "{% for letter in reference %}x{% endfor %}",
        "{% macro m() %}x{% endmacro %}{{ m() }}",
        "{% set x = reference %}{{ x }}",
        "{% include 'other' %}",
        "{% import 'os' as os %}x",
        "{{ reference|replace('a', 'aaaaaaaaaaaa') }}",
        "{{ reference|center(100000000) }}",
        "{{ reference|attr('__class__') }}",
        "{{ reference[0] }}",
        "{{ lipsum() }}",
        "{{ reference is callable }}",
        "{{ " + "(" * 5_000 + "reference" + ")" * 5_000 + " }}",
    ],
)
def test_a_template_does_nothing_but_put_values_and_choose_texts(body: str) -> None:
    with pytest.raises(TemplateTextError):
        checked("delivered", "sms", "", body, LIMITS)


def test_a_digest_lists_its_items_and_nothing_goes_round_twice() -> None:
    words = checked(
        "digest", "email", "{{ count }} news", "{% for i in items %}{{ i.time }} {{ i.reference }} {% endfor %}", LIMITS
    )
    assert (words.subject, words.body) == ("2 news", "15:42 ORDER-1042 15:42 ORDER-1042")
    nested = "{% for a in items %}{% for b in items %}{{ b.reference }}{% endfor %}{% endfor %}"
    with pytest.raises(TemplateTextError, match="holds no other"):
        checked("digest", "email", "news", nested, LIMITS)
    for whole in ("{{ items }}", "{% for i in items %}{{ i }}{% endfor %}"):
        with pytest.raises(TemplateTextError, match="loop over them"):
            checked("digest", "email", "news", whole, LIMITS)


def test_a_subject_never_becomes_another_header() -> None:
    words = checked("delivered", "email", "{{ reference }}\nBcc: all@example.com", "text", LIMITS)
    assert "\n" not in words.subject


@pytest.mark.parametrize(
    ("body", "segments"),
    [("a" * 160, 1), ("a" * 161, 2), ("€" * 80, 1), ("€" * 81, 2), ("ह" * 70, 1), ("ह" * 71, 2), ("a" * 307, 3)],
)
def test_segments_are_counted_as_they_are_billed(body: str, segments: int) -> None:
    assert sms_segments(body) == segments
