"""What the tidy rules look at: the checkout's files that are, or could be, committed."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ("libs/api/", "third_party/", "requirements/", "services/gateway/rest/static/swagger-ui/")


@dataclass(frozen=True)
class Source:
    """One text file: its path from the root, and what is in it."""

    path: str
    text: str = field(repr=False)

    @cached_property
    def tree(self) -> ast.Module:
        """The file's syntax tree, for Python."""
        return ast.parse(self.text, self.path)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def at(self, line: int, message: str) -> str:
        """Say where something is wrong, in the form that editors follow."""
        return f"{self.path}:{line}: {message}"

    def numbered(self) -> Iterator[tuple[int, str]]:
        """Yield the lines with their numbers."""
        yield from enumerate(self.text.splitlines(), 1)

    def below(self, *folders: str) -> bool:
        """Say whether the file is in one of the folders."""
        return self.path.startswith(tuple(f"{folder}/" for folder in folders))


def read_checkout(root: Path = ROOT) -> list[Source]:
    """Return every text file that git tracks or would add, without what is generated or vendored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout  # noqa: S603 - fixed
    sources = []
    for path in sorted(set(listed.split("\0")) - {""}):
        file = root / path
        if path.startswith(GENERATED) or not file.is_file():
            continue
        content = file.read_bytes()
        if b"\0" not in content:
            sources.append(Source(path, content.decode()))
    return sources


def python_of(sources: list[Source], *folders: str) -> list[Source]:
    """Return the Python files of these folders; of all when none is named."""
    return [s for s in sources if s.path.endswith(".py") and (not folders or s.below(*folders))]
