"""`lastmile recon desk`: what people decide about discrepancies."""

import json
from typing import Annotated, Any

import typer

from cli.gateway import Gateway
from cli.shown import console, rupees, table, with_gateway

app = typer.Typer(help="Discrepancies and what is decided about them.", no_args_is_help=True)

Cases = Annotated[list[str], typer.Argument(metavar="CASE...", help="Ids of cases, which are those of discrepancies.")]
Note = Annotated[str, typer.Option("--note", help="Why.")]
ROOT = "/v1/reconciliation"
KINDS = ("match", "write_off", "recover", "pay", "adjust", "dismiss")


@app.command("list")
def list_cases(
    kind: Annotated[str, typer.Option("--class", help="Such as overpaid.")] = "",
    state: Annotated[str, typer.Option(help="open, assigned or proposed.")] = "",
    assignee: Annotated[str, typer.Option(help="Whose.")] = "",
    proposed: Annotated[bool, typer.Option("--proposed", help="List resolutions that wait for approval.")] = False,
    rows: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
) -> None:
    """List what is not resolved, the oldest first, and how old all of it is."""

    async def show(gateway: Gateway) -> None:
        if proposed:
            await _list_proposed(gateway, rows)
            return
        wanted = {"class": kind, "assignee": assignee}
        if state:
            wanted["state"] = f"CASE_STATE_{state.upper()}"
        count = 0
        async for case in gateway.pages(f"{ROOT}/cases", "cases", **wanted):
            _tell_case(case)
            count += 1
            if count == rows:
                break
        ages = table("class", "days", "cases", "at stake")
        for age in (await gateway.get(f"{ROOT}/case-ages")).get("ages", []):
            until = f"-{age['daysUntil']}" if "daysUntil" in age else "+"
            ages.add_row(
                age["class"], f"{age.get('daysFrom', 0)}{until}", age["casesCount"], rupees(age.get("paise", 0))
            )
        console().print(ages)

    with_gateway(show)


@app.command()
def show(case: Annotated[str, typer.Argument(metavar="CASE")]) -> None:
    """Show a case with its evidence, and all that was done about it."""

    async def tell(gateway: Gateway) -> None:
        answer = await gateway.get(f"{ROOT}/cases/{case}")
        _tell_case(answer["case"])
        for name, value in json.loads(answer["case"]["discrepancy"]["evidenceJson"]).items():
            if value is not None:
                typer.echo(f"  {name} {value}")
        if made := answer.get("resolution"):
            _tell_resolution(made, answer.get("entryId", ""))
        for row in answer.get("trail", []):
            typer.echo(f"{row['at'][:19]} {row['actor']} {row['action']} {row['contentJson']}")

    with_gateway(tell)


@app.command()
def assign(
    cases: Cases, to: Annotated[str, typer.Option("--to", help="Nobody when left out.")] = "", note: Note = ""
) -> None:
    """Give cases to somebody, or back to nobody."""
    _command(f"{ROOT}/cases:assign", {"caseIds": cases, "assignee": to, "note": note})


@app.command()
def comment(cases: Cases, text: Annotated[str, typer.Option("--text")]) -> None:
    """Add a comment to cases."""
    _command(f"{ROOT}/cases:comment", {"caseIds": cases, "text": text})


@app.command()
def resolve(
    cases: Cases,
    kind: Annotated[str, typer.Option("--as", help=f"One of {', '.join(KINDS)}.")],
    note: Note,
    write_off_rest: Annotated[bool, typer.Option("--write-off-rest", help="Of cases that match.")] = False,
) -> None:
    """Resolve cases, all of them or none; above the limit another has to approve it."""
    if kind not in KINDS:
        raise typer.BadParameter(f"--as is one of {', '.join(KINDS)}")
    named = f"RESOLUTION_KIND_{kind.upper()}"
    body = {"caseIds": cases, "kind": named, "note": note, "writeOffRest": write_off_rest}
    _command(f"{ROOT}/cases:resolve", body)


@app.command("write-off")
def write_off(cases: Cases, note: Note) -> None:
    """Write cases off; above the limit another has to approve it."""
    _command(f"{ROOT}/cases:resolve", {"caseIds": cases, "kind": "RESOLUTION_KIND_WRITE_OFF", "note": note})


@app.command()
def approve(resolution: Annotated[str, typer.Argument(metavar="RESOLUTION")], note: Note = "") -> None:
    """Approve what another has proposed."""
    _command(f"{ROOT}/resolutions/{resolution}:approve", {"note": note})


@app.command()
def decline(resolution: Annotated[str, typer.Argument(metavar="RESOLUTION")], note: Note) -> None:
    """Decline what another has proposed."""
    _command(f"{ROOT}/resolutions/{resolution}:decline", {"note": note})


@app.command()
def audit(
    known: Annotated[str, typer.Option("--known", help="The head that was printed before, as NUMBER:HASH.")] = "",
) -> None:
    """Verify the audit trail; exits with 1 if it is broken. Keep the head elsewhere, and give it next time."""
    number, _, digest = known.partition(":")

    async def verify(gateway: Gateway) -> None:
        query = {"knownSequence": number, "knownSha256Hex": digest} if known else {}
        found = await gateway.get(f"{ROOT}/audit", **query)
        typer.echo(f"head {found.get('headSequence', 0)}:{found['headSha256Hex']}")
        if found.get("problem"):
            typer.echo(f"row {found['brokenSequence']} is the first that is wrong: {found['problem']}")
            raise typer.Exit(1)

    with_gateway(verify)


def _command(path: str, body: dict[str, Any]) -> None:
    async def send(gateway: Gateway) -> None:
        answer = await gateway.post(path, body)
        if made := answer.get("resolution"):
            _tell_resolution(made, "")
        for case in answer.get("cases", []):
            _tell_case(case)

    with_gateway(send)


async def _list_proposed(gateway: Gateway, rows: int) -> None:
    count = 0
    async for made in gateway.pages(f"{ROOT}/resolutions", "resolutions", proposedOnly="true"):
        _tell_resolution(made, "")
        count += 1
        if count == rows:
            typer.echo(f"the first {rows}; --rows tells more of them")
            return
    if not count:
        typer.echo("nothing is proposed")


def _tell_case(case: dict[str, Any]) -> None:
    found = case["discrepancy"]
    suggested = f", suggested: {_suggested(case)}" if "suggestion" in case else ""
    typer.echo(f"{found['id']} {found['class']} {_rest(case)} of {found['payee']}: {_state(case)}{suggested}")


def _tell_resolution(made: dict[str, Any], entry_id: str) -> None:
    waits = "waits for somebody else's approval"
    outcome = f"{made['outcome']} by {made['decidedBy']}" if made.get("outcome") else waits
    booked = f", entry {entry_id}" if entry_id else ""
    kind = made["kind"].removeprefix("RESOLUTION_KIND_").lower()
    amount = rupees(made.get("amountPaise", 0))
    typer.echo(f"resolution {made['id']}: {kind} of {amount} by {made['proposedBy']}, {outcome}{booked}")


def _state(case: dict[str, Any]) -> str:
    state = str(case["state"]).removeprefix("CASE_STATE_").lower()
    return f"{state} {case['assignee']}" if case.get("assignee") else state


def _rest(case: dict[str, Any]) -> str:
    return rupees(case.get("restPaise", 0))


def _suggested(case: dict[str, Any]) -> str:
    found = case.get("suggestion")
    if not found:
        return ""
    what = found.get("resolution", "RESOLUTION_KIND_WAIT").removeprefix("RESOLUTION_KIND_").lower()
    what = "wait" if what == "unspecified" else what
    return f"{what} ({found.get('confidencePct', 0)} %)"
