"""`make bench` runs what it is told, and lists what there is."""

import sys
from pathlib import Path

import pytest

from scripts import bench


@pytest.fixture
def benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bench, "BENCHMARKS", tmp_path)
    (tmp_path / "intake.py").write_text('"""Creates deliveries."""\n\nif __name__ == "__main__":\n    pass\n')
    (tmp_path / "report.py").write_text('"""A helper."""\n')
    return tmp_path


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["unknown"], 2)])
def test_without_a_known_name_the_benchmarks_are_listed(
    benchmarks: Path,
    arguments: list[str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.py", *arguments])
    assert bench.main() == code
    printed = capsys.readouterr().err
    assert "Creates deliveries." in printed
    assert "report" not in printed
