"""Tidy rules about every text: unfinished work, places of one machine, protos, decisions, READMEs, links."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from scripts.tidy.source import ROOT, Source

DECISION_PARTS = ("## Context", "## Decision", "## Consequences", "## Alternatives")

# Put together here, so that these lines do not break their own rules.
_UNFINISHED = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
_HOSTS = re.compile(
    "|".join(
        (
            r"py" + r"pi\.(?:org|python)", r"python" + r"hosted\.org", r"registry\.npm" + r"js",
            r"registry\.yarn" + r"pkg",
            r"(?:deb|security|ftp)\.deb" + r"ian\.org", r"archive\.ubun" + r"tu\.com", r"proxy\.gol" + r"ang\.org",
            r"index\.cra" + r"tes\.io",
        )
    )
)  # fmt: skip
_MACHINE = re.compile(r"(?<![\w.$}~-])/(?:wo" + r"rk|ro" + r"ot|ho" + r"me/\w+|Us" + r"ers/\w+)/")
_RPC = re.compile(r"(?P<comment>(?:^ *//[^\n]*\n)*)^ *rpc (?P<name>\w+)\((?P<rest>.*?)^  \}$", re.MULTILINE | re.DOTALL)
_RPC_START = re.compile(r"^ *rpc (\w+)\(", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
_PATH = re.compile(r"`((?:cli|docs|libs|protos|requirements|scripts|services|tests|third_party)/[\w./-]*)`")
_DECISION = re.compile(r"docs/decisions/(\d{4})-[a-z0-9-]+\.md")


def unfinished_work(sources: list[Source]) -> Iterator[str]:
    """What is committed is finished; what is not yet done is an issue."""
    for source in sources:
        for number, line in source.numbered():
            if _UNFINISHED.search(line):
                yield source.at(number, "finish it or open an issue")


def places(sources: list[Source]) -> Iterator[str]:
    """Nothing names a package registry or a path of one machine: both are the reader's configuration."""
    for source in sources:
        for number, line in source.numbered():
            if found := _HOSTS.search(line) or _MACHINE.search(line):
                yield source.at(number, f"names a place: {found.group()}")


def silent_rpcs(sources: list[Source]) -> Iterator[str]:
    """Every RPC says in its comment which errors it returns, and in an option who may call it."""
    for source in sources:
        if not source.path.endswith(".proto"):
            continue
        spelled = {found["name"]: found for found in _RPC.finditer(source.text)}
        for start in _RPC_START.finditer(source.text):
            name, line = start[1], source.text.count("\n", 0, start.start()) + 1
            rpc = spelled.get(name)
            if rpc is None or "Errors:" not in rpc["comment"]:
                yield source.at(line, f"{name}: the comment has no 'Errors:'")
            if rpc is None or "(lastmile.common.v1.access)" not in rpc["rest"]:
                yield source.at(line, f"{name}: no option (lastmile.common.v1.access)")


def decisions(sources: list[Source]) -> Iterator[str]:
    """Decisions are numbered from 0001 without gaps and have all their parts."""
    found = sorted(
        ((match[1], source) for source in sources if (match := _DECISION.fullmatch(source.path))),
        key=lambda numbered: numbered[1].path,
    )
    for place, (number, source) in enumerate(found, 1):
        if int(number) != place:
            yield source.at(1, f"should be number {place:04}")
        yield from (source.at(1, f"lacks '{part}'") for part in DECISION_PARTS if part not in source.text.splitlines())


def readmes(sources: list[Source]) -> Iterator[str]:
    """Every service has a README.md."""
    paths = {source.path for source in sources}
    services = {
        source.path.split("/")[1] for source in sources if source.below("services") and source.path.count("/") > 1
    }
    for service in sorted(services):
        if f"services/{service}/README.md" not in paths:
            yield f"services/{service}/README.md:1: is missing"


def dead_links(sources: list[Source]) -> Iterator[str]:
    """A document's links, and the paths that it quotes, lead somewhere."""
    for source in sources:
        if not source.path.endswith(".md"):
            continue
        folder = PurePosixPath(source.path).parent
        for number, line in source.numbered():
            targets = [str(folder / target) for target in _LINK.findall(line) if "://" not in target]
            for target in [*targets, *_PATH.findall(line)]:
                if not (ROOT / target).exists():
                    yield source.at(number, f"there is no {target}")


RULES = (unfinished_work, places, silent_rpcs, decisions, readmes, dead_links)
