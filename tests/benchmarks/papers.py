"""Papers: labels and invoices a second of one core, beside ReportLab with the same codes and less typography."""

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from services.reconciliation.papers.rendering import Paper, pdf
from tests.benchmarks.peers import peer_python
from tests.benchmarks.report import Row, higher, report
from tests.made_up_papers import INVOICE, LABEL, made_up_invoice, made_up_label, made_up_sheet

LABELS, SHEETS, LABELS_A_SHEET, INVOICES, ROUNDS = 200, 4, 100, 120, 3
# What the company asks of a core.
LABELS_WANTED, INVOICES_WANTED = 60, 30


def papers_per_cpu_s(papers: Sequence[Sequence[Paper]]) -> float:
    """The best of rounds, each of papers that nobody has rendered before."""
    best = 0.0
    for round_ in papers:
        started_s = time.process_time()
        for paper in round_:
            pdf(paper)
        best = max(best, len(round_) / (time.process_time() - started_s))
    return best


def peer(what: str, papers: Sequence[dict[str, object]]) -> float:
    """What ReportLab makes of the same contents, in an environment of its own."""
    python = peer_python("bench-papers", "papers")
    command = [str(python), str(Path(__file__).with_name("papers_peer.py")), what]
    done = subprocess.run(command, input=json.dumps(papers), check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    pdf(made_up_sheet(0))
    pdf(INVOICE)
    singles = [[made_up_sheet(round_ * LABELS + n) for n in range(LABELS)] for round_ in range(1, ROUNDS + 1)]
    sheets = [
        [made_up_sheet(1_000 + round_ * SHEETS + n, LABELS_A_SHEET) for n in range(SHEETS)] for round_ in range(ROUNDS)
    ]
    invoices = [[made_up_invoice(round_ * INVOICES + n) for n in range(INVOICES)] for round_ in range(ROUNDS)]
    labels_s, invoices_s = papers_per_cpu_s(singles), papers_per_cpu_s(invoices)
    on_sheets_s = papers_per_cpu_s(sheets) * LABELS_A_SHEET
    known = [made_up_label(n) for n in range(LABELS)]
    peer_labels_s = peer("labels", [
        {"reference": one.reference, "id": str(one.delivery_id), "name": LABEL.recipient.name,
         "address": LABEL.recipient.address, "cash": one.cash_paise} for one in known])  # fmt: skip
    peer_invoices_s = peer("invoices", [
        {"number": one.number, "name": one.recipient.legal_name,
         "lines": [[line.description, line.deliveries_count, line.taxable_paise, line.tax_paise] for line in one.lines]}
        for one in invoices[0]])  # fmt: skip
    rows = [
        higher("labels, a PDF each", labels_s, "labels/s of a core", "ReportLab", peer_labels_s),
        Row(f"labels, {LABELS_A_SHEET} a PDF", on_sheets_s, "labels/s of a core"),
        higher("invoices", invoices_s, "invoices/s of a core", "ReportLab", peer_invoices_s),
        higher("labels, a PDF each", labels_s, "labels/s of a core", "wanted", LABELS_WANTED),
        higher("invoices", invoices_s, "invoices/s of a core", "wanted", INVOICES_WANTED),
    ]
    report("papers", rows)


if __name__ == "__main__":
    main()
