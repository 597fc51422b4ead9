"""Handlers are found where they are dropped, and what is none is refused with a reason."""

import sys
import types
from pathlib import Path

import pytest

from libs.streams.handler import HandlerDefinitionError, discovered

GOOD = '''
class Greeter:
    """Greets."""

    name = "greeter"
    types = frozenset({"lastmile.delivery.created.v1"})

    async def handle(self, batch):
        return None
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """An empty handlers/ folder of a service."""
    folder = tmp_path / "handlers"
    folder.mkdir()
    module = types.ModuleType("made.up_service.handlers")
    module.__path__ = [str(folder)]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield module
    for name in [name for name in sys.modules if name.startswith(f"{module.__name__}.")]:
        del sys.modules[name]


def drop(package: types.ModuleType, name: str, text: str) -> None:
    Path(package.__path__[0], f"{name}.py").write_text(text)


def test_a_file_is_found_by_its_handlers_name(package: types.ModuleType) -> None:
    assert discovered(package) == {}
    drop(package, "anything", GOOD)
    assert list(discovered(package)) == ["greeter"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("X = 1", "defines no class"),
        (GOOD.replace('"greeter"', '"Greeter Two"'), "lower case"),
        (GOOD.replace("frozenset({", "({"), "no frozenset"),
        (GOOD.replace("async def", "def"), "no async method"),
        (GOOD + GOOD.replace("class Greeter", "class Second"), "two handlers are called"),
    ],
)
def test_what_is_no_handler_is_refused_with_the_reason(package: types.ModuleType, text: str, reason: str) -> None:
    drop(package, "broken", text)
    with pytest.raises(HandlerDefinitionError, match=reason):
        discovered(package)
