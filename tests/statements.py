"""The product's SQL by name: every statement on a table is a constant of its module, and is called after it.

`services/assignment/deliveries/store.py` has `_GET`: the statement `assignment.deliveries.store.GET`.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("services", "libs")
# A service's tables are in the schema of its name.
_SCHEMAS = "|".join(path.name for path in (ROOT / "services").iterdir() if path.is_dir())
_STATEMENT = re.compile(r"\s*(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\s")
_TABLE = re.compile(rf"(?:FROM|JOIN|INTO|UPDATE)\s+(?:{_SCHEMAS})\.(?!\w+\()")


def is_statement(text: object) -> bool:
    """Whether a text reads or writes a table of the product."""
    return isinstance(text, str) and bool(_STATEMENT.match(text) and _TABLE.search(text))


@cache
def named_statements() -> dict[str, str]:
    """Return every statement that is a constant of a module, by its name."""
    found: dict[str, str] = {}
    for path, tree in _modules():
        names = [name for node in tree.body for name in _assigned(node)]
        if not any(is_statement(_text_of(node.value)) for node in tree.body if isinstance(node, ast.Assign)):
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        values = vars(importlib.import_module(module))
        short = module.removeprefix("services.")
        found |= {f"{short}.{name.lstrip('_')}": values[name] for name in names if is_statement(values[name])}
    return found


def nameless_statements() -> list[str]:
    """Return `path:line` of each statement that is no constant of its module."""
    return [f"{path.relative_to(ROOT)}:{line}" for path, tree in _modules() for line in nameless_in(tree)]


def nameless_in(tree: ast.Module) -> list[int]:
    """Return the lines of a module's statements that are none of its constants."""
    named = {id(part) for node in tree.body if isinstance(node, ast.Assign) for part in ast.walk(node.value)}
    texts = (
        node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in named
    )
    # An f-string and its parts are one.
    return sorted({node.lineno for node in texts if is_statement(_text_of(node))})


def _modules() -> Iterator[tuple[Path, ast.Module]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "api" not in path.relative_to(ROOT).parts[:2]:
                yield path, ast.parse(path.read_text())


def _assigned(node: ast.stmt) -> list[str]:
    if not isinstance(node, ast.Assign):
        return []
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def _text_of(node: ast.expr) -> str:
    """The text of a constant or f-string, each value in it as `value`; empty for anything else."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "value" for part in node.values)
    return ""
