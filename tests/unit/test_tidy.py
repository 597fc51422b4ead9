"""The checkout keeps the rules that ruff, mypy and import-linter cannot say, and each rule refuses what it should."""

from collections.abc import Callable, Iterator

import pytest

from scripts.tidy import python_rules, text_rules
from scripts.tidy.source import Source, read_checkout

Rule = Callable[[list[Source]], Iterator[str]]
RULES: tuple[Rule, ...] = (*python_rules.RULES, *text_rules.RULES)
LATER = "TO" + "DO"
RPC = "service S {\n  // Does it.\n  rpc Do(A) returns (B) {\n  }\n}\n"


@pytest.fixture(scope="module")
def checkout() -> list[Source]:
    return read_checkout()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_checkout_keeps(rule: Rule, checkout: list[Source]) -> None:
    broken = list(rule(checkout))
    assert not broken, f"{rule.__doc__}\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (python_rules.long_files, "libs/a.py", "x = 1\n" * 301),
        (python_rules.long_functions, "libs/a.py", "def f():\n" + "    x = 1\n" * 60),
        (python_rules.sql_outside_stores, "services/s/servicer.py", 'Q = "SELECT id FROM t"\n'),
        (python_rules.sql_outside_stores, "services/s/app.py", 'Q = """\nWITH a AS (SELECT 1) SELECT * FROM a"""\n'),
        (python_rules.printing, "services/s/app.py", "print('here')\n"),
        (python_rules.unreasoned_silence, "libs/a.py", "x = f()  # no" + "qa: S603\n"),
        (python_rules.unreasoned_silence, "libs/a.py", "x = f()  # type: " + "ignore[arg-type]\n"),
        (
            python_rules.undescribed_settings,
            "services/s/settings.py",
            "class S_Settings(BaseSettings):\n    a: int = 1\n",
        ),
        (python_rules.blind_sleeps, "tests/unit/test_a.py", "import time\n\n\ndef test_a():\n    time.sleep(1)\n"),
        (python_rules.homeless_tests, "tests/unit/services/s/test_gone.py", ""),
        (text_rules.unfinished_work, "docs/a.md", f"{LATER}: write this\n"),
        (text_rules.places, "docs/a.md", "see /wo" + "rk/somewhere\n"),
        (text_rules.places, "Makefile", "pip install --index-url https://py" + "pi.org/simple\n"),
        (text_rules.silent_rpcs, "protos/a.proto", RPC),
        (text_rules.silent_rpcs, "protos/a.proto", RPC.replace("Does it.", "Errors: none.")),
        (
            text_rules.decisions,
            "docs/decisions/0007-later.md",
            "## Context\n## Decision\n## Consequences\n## Alternatives\n",
        ),
        (text_rules.decisions, "docs/decisions/0001-short.md", "## Context\n"),
        (text_rules.readmes, "services/s/app.py", ""),
        (text_rules.dead_links, "docs/a.md", "[gone](gone.md)\n"),
        (text_rules.dead_links, "docs/a.md", "see `libs/gone/far.py`\n"),
    ],
)
def test_a_rule_refuses(rule: Rule, path: str, text: str) -> None:
    assert list(rule([Source(path, text)]))


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (python_rules.sql_outside_stores, "services/s/store.py", 'Q = "SELECT id FROM t"\n'),
        (python_rules.sql_outside_stores, "services/s/app.py", 'M = "Select a partner"\n'),
        (python_rules.unreasoned_silence, "libs/a.py", "x = f()  # no" + "qa: S603 - our own arguments\n"),
        (
            python_rules.blind_sleeps,
            "tests/unit/test_a.py",
            "import asyncio\n\n\nasync def test_a():\n    await asyncio.sleep(0)\n",
        ),
        (text_rules.places, "docs/a.md", "the wheel at `~/work/`, or `$ROOT/root/`\n"),
        (text_rules.dead_links, "docs/a.md", "[elsewhere](https://example.com/a.md), [here](../README.md#top)\n"),
    ],
)
def test_a_rule_allows(rule: Rule, path: str, text: str) -> None:
    assert not list(rule([Source(path, text)]))
