"""What a template may say: Jinja2 without what could hang or leak.

https://jinja.palletsprojects.com/en/stable/templates/ is the language.

A template is data of a merchant. It runs in Jinja2's sandbox, and is refused before that when it does anything but put
values, choose between texts, and list what a digest tells of: no arithmetic, no calls, no loops but that one. So no
text can grow or run beyond its own length times the digest's.
"""

from dataclasses import dataclass

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment

FILTERS = frozenset(
    {"upper", "lower", "title", "capitalize", "trim", "default", "length", "first", "last",
     "words"}
)  # fmt: skip
TESTS = frozenset({"defined"})
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.CondExpr, nodes.Filter,
    nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.For, nodes.Getattr, nodes.Keyword,
)  # fmt: skip
# What a message of one delivery knows, and what that of several does besides.
VARIABLES = frozenset(
    {"recipient_name", "merchant_name", "city_name", "reference", "status", "reason", "drop_date", "drop_from",
     "drop_until", "time"}
)  # fmt: skip
# `items` are the first of `count`, and `more` says how many they leave out.
DIGEST_VARIABLES = frozenset({"recipient_name", "count", "more", "items"})
ITEM_VARIABLES = frozenset({"reference", "status", "reason", "time"})
DIGEST = "digest"


class TemplateTextError(ValueError):
    """A text is no template that may be used; the message says what is wrong, and in which line."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A subject and a body, ready to be rendered."""

    subject: Template
    body: Template


def environment() -> SandboxedEnvironment:
    """Return the sandbox, which knows nothing but the allowed filters."""
    made = SandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False,
        finalize=_said,
    )  # fmt: skip
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in FILTERS - {"words"}} | {"words": _words}
    made.tests = {name: made.tests[name] for name in TESTS}
    return made


def _said(value: object) -> object:
    """Return a value that is put into a text. Raises TemplateTextError for what reads as a program's."""
    if isinstance(value, list | dict):
        raise TemplateTextError("items have values to be put: loop over them, or count them")
    return value


def _words(code: object) -> str:
    """A code as it is said: CUSTOMER_UNREACHABLE is customer unreachable."""
    return str(code).replace("_", " ").lower()


_ENVIRONMENT = environment()


def compiled(subject: str, body: str, *, digest: bool) -> Compiled:
    """Return the templates of a message's texts. Raises TemplateTextError, with the part that is wrong named."""
    return Compiled(_checked("subject", subject, digest=digest), _checked("body", body, digest=digest))


def _checked(part: str, text: str, *, digest: bool) -> Template:
    known = DIGEST_VARIABLES if digest else VARIABLES
    try:
        tree = _ENVIRONMENT.parse(text)
        for node in tree.find_all(nodes.Node):
            _check_node(part, node)
        if unknown := meta.find_undeclared_variables(tree) - known:
            there_are = ", ".join(sorted(known))
            raise TemplateTextError(f"{part}: knows no {', '.join(sorted(unknown))}; there are {there_are}")
        return _ENVIRONMENT.from_string(text)
    except TemplateSyntaxError as error:
        raise TemplateTextError(f"{part}, line {error.lineno}: {error.message}") from None
    except TemplateError as error:
        raise TemplateTextError(f"{part}: {error.message}") from None
    except RecursionError:
        raise TemplateTextError(f"{part}: is nested too deeply") from None


def _check_node(part: str, node: nodes.Node) -> None:
    where = f"{part}, line {node.lineno}"
    if not isinstance(node, _ALLOWED):
        raise TemplateTextError(f"{where}: may put values and choose texts, and do no {type(node).__name__}")
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        raise TemplateTextError(f"{where}: has no filter {node.name}; there are {', '.join(sorted(FILTERS))}")
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        raise TemplateTextError(f"{where}: has no test {node.name}")
    if isinstance(node, nodes.For):
        over_items = isinstance(node.iter, nodes.Name) and node.iter.name == "items"
        if not over_items or node.recursive or any(True for _ in node.find_all(nodes.For)):
            raise TemplateTextError(f"{where}: the one loop that there is goes over items, and holds no other")
    if isinstance(node, nodes.Getattr) and not (isinstance(node.node, nodes.Name) and node.attr in ITEM_VARIABLES):
        raise TemplateTextError(f"{where}: an item has {', '.join(sorted(ITEM_VARIABLES))}, and no {node.attr}")
