from pathlib import Path

from libs.embedded.nodes import ProcessSpec, StepSpec, depths_of


async def _nothing() -> None:
    return None


def test_whoever_needs_another_is_deeper() -> None:
    nodes: list[ProcessSpec | StepSpec] = [
        ProcessSpec("gateway", (), {}, Path(), ("tables", "valkey")),
        StepSpec("tables", _nothing, ("postgres",)),
        ProcessSpec("postgres", (), {}, Path()),
        ProcessSpec("valkey", (), {}, Path()),
    ]
    assert depths_of(nodes) == {"postgres": 1, "valkey": 1, "tables": 2, "gateway": 3}
