"""Tidy rules about Python: sizes, where SQL and printing may be, reasons, descriptions, sleeps, names of tests."""

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from scripts.tidy.source import Source, python_of

FILE_LINES_MAX = 300
LONG_FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
# A file that is longer than FILE_LINES_MAX for a reason, up to LONG_FILE_LINES_MAX.
LONG_FILES: dict[str, str] = {
    "libs/embedded/supervisor.py": "one state machine over a process's life, which is harder to follow in pieces",
    "services/reconciliation/errors.py": "one tree, which is read whole: six lines for each of its errors",
    "tests/integration/embedded/test_servers.py": "its tests share one platform, which takes seconds to start",
}
# SQL outside store.py: the shelf that stores build on, and the servers' own administration.
SQL_FOLDERS = ("libs/postgres", "libs/embedded")
# Tests of the checkout as a whole mirror no source path.
CHECKOUT_TESTS = {f"tests/unit/test_{name}.py" for name in ("contracts", "imports", "tidy")}

_SQL = re.compile(
    r"\s*(?:SELECT\s+\S|INSERT INTO\s|UPDATE\s+\S+\s+SET\s|DELETE FROM\s|WITH\s+\w+(?:\s*\([^)]*\))?\s+AS\s*\(|"
    r"(?:CREATE|ALTER|DROP|TRUNCATE)\s+(?:TABLE|ROLE|SCHEMA|INDEX|FUNCTION|DATABASE)\s|NOTIFY\s|LISTEN\s)"
)
_UNREASONED = (
    (re.compile(r"#\s*noqa(?!: [A-Z0-9, ]+ - \S)"), "noqa wants its codes and a reason: `# noqa: S603 - why`"),
    (re.compile(r"#\s*type:\s*ignore(?!\[[^\]]+\]\s+# \S)"), "type: ignore wants its code and a reason after it"),
)
_SETTINGS = re.compile(r"(?:Settings|Limits)$")


def long_files(sources: list[Source]) -> Iterator[str]:
    """A file is one idea: at most FILE_LINES_MAX lines, or LONG_FILE_LINES_MAX for a reason that is written down."""
    for source in python_of(sources):
        lines = source.text.count("\n")
        lines_max = LONG_FILE_LINES_MAX if source.path in LONG_FILES else FILE_LINES_MAX
        if lines > lines_max:
            yield source.at(lines, f"{lines} lines are more than {lines_max}: find the second idea and give it a file")


def long_functions(sources: list[Source]) -> Iterator[str]:
    """A function has at most FUNCTION_LINES_MAX lines."""
    for source in python_of(sources):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    yield source.at(node.lineno, f"{node.name} has {lines} lines, more than {FUNCTION_LINES_MAX}")


def sql_outside_stores(sources: list[Source]) -> Iterator[str]:
    """Only store.py holds SQL."""
    for source in python_of(sources, "services", "libs", "cli"):
        if source.name == "store.py" or source.below(*SQL_FOLDERS):
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value):
                yield source.at(node.lineno, "SQL belongs into store.py")


def printing(sources: list[Source]) -> Iterator[str]:
    """Services and libs log; only the command line prints."""
    for source in python_of(sources, "services", "libs"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                yield source.at(node.lineno, "log instead of printing")


def unreasoned_silence(sources: list[Source]) -> Iterator[str]:
    """Whoever silences a checker says why."""
    for source in python_of(sources):
        if source.path == "scripts/tidy/python_rules.py":
            continue
        for number, line in source.numbered():
            yield from (source.at(number, message) for pattern, message in _UNREASONED if pattern.search(line))


def undescribed_settings(sources: list[Source]) -> Iterator[str]:
    """Every setting says what it sets: `Field(..., description=...)`."""
    for source in python_of(sources, "services", "libs"):
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.ClassDef) or not _SETTINGS.search(node.name) or not _is_model(node):
                continue
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and not _described(field):
                    yield source.at(field.lineno, f"setting {node.name}.{field.target.id} has no description")


def _is_model(node: ast.ClassDef) -> bool:
    return any("Base" in ast.unparse(base) or _SETTINGS.search(ast.unparse(base)) for base in node.bases)


def _described(field: ast.AnnAssign) -> bool:
    if field.target and isinstance(field.target, ast.Name) and field.target.id == "model_config":
        return True
    calls = [node for part in (field.annotation, field.value) if part for node in ast.walk(part)]
    return any(
        isinstance(call, ast.Call)
        and (any(k.arg in {"description", "default_factory"} for k in call.keywords) or _is_limits(call))
        for call in calls
    ) or _is_limits(field.annotation)


def _is_limits(node: ast.expr) -> bool:
    """A nested settings object describes its own fields."""
    return bool(_SETTINGS.search(ast.unparse(node.func if isinstance(node, ast.Call) else node)))


def blind_sleeps(sources: list[Source]) -> Iterator[str]:
    """A test waits for a condition, in a loop with a deadline, and never for a time."""
    for source in python_of(sources, "tests"):
        for node in ast.walk(source.tree):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep", "sleep"}
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and node.args[0].value
                and not _inside_loop(source.tree, node)
            ):
                yield source.at(node.lineno, "wait for a condition with a deadline, not for a time")


def _inside_loop(tree: ast.Module, call: ast.Call) -> bool:
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.While | ast.For | ast.AsyncFor)]
    return any(node is call for loop in loops for node in ast.walk(loop))


def homeless_tests(sources: list[Source]) -> Iterator[str]:
    """The tests of `services/x/y.py` are `tests/unit/services/x/test_y.py`, or `test_y_<topic>.py` beside it."""
    paths = {source.path for source in sources}
    folders = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    for source in python_of(sources, "tests/unit"):
        if not source.name.startswith("test_") or source.path in CHECKOUT_TESTS:
            continue
        place = PurePosixPath(source.path).relative_to("tests/unit")
        words = place.stem.removeprefix("test_").split("_")
        names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
        mirrored = any(
            f"{place.parent}/{name}.py" in paths or f"{place.parent}/{name}" in folders or name == place.parent.name
            for name in names
        )
        if not mirrored or str(place.parent) not in folders:
            yield source.at(1, f"mirrors no source: there is no {place.parent}/{names[0]}.py")


RULES = (
    long_files,
    long_functions,
    sql_outside_stores,
    printing,
    unreasoned_silence,
    undescribed_settings,
    blind_sleeps,
    homeless_tests,
)
