"""`make check` names what failed, runs the rest nevertheless, and fails."""

import sys

import pytest

from scripts import check


def test_every_check_runs_and_the_failed_one_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [sys.executable, "-c", "print('what is wrong'); raise SystemExit(3)"]
    good = [sys.executable, "-c", "print('not shown')"]
    monkeypatch.setattr(check, "CHECKS", {"bad": bad, "good": good})
    monkeypatch.setattr(sys, "argv", ["check.py"])
    assert check.main() == 1
    printed = capsys.readouterr().out
    assert "ok      good" in printed
    assert "what is wrong" in printed
    assert "not shown" not in printed
    assert "failed: bad." in printed


def test_an_unknown_check_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["check.py", "spelling"])
    with pytest.raises(SystemExit) as error:
        check.main()
    assert error.value.code == 2
