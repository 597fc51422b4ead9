"""Render the papers that the documentation shows: `python scripts/papers.py [--check]`.

The images are of the same contents as the tests'. sha256.txt has the hashes of the PDFs, which --check compares: pixels
may differ between processors where the documents are the same.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from services.reconciliation.papers.label import LabelSheet
from services.reconciliation.papers.rendering import Paper, pdf, png_pages
from tests.made_up_papers import HARD_LABEL, INVOICE, LABEL, STATEMENT

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "papers"
# A label as a printer of 203 dots an inch would print it; pages for screens.
LABEL_PPI, PAGE_PPI = 203, 100


def main() -> int:
    """Render all, or with --check say whether what is there is of today's templates; 1 when it is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a paper is not today's")
    is_check = parser.parse_args().check
    papers: dict[str, tuple[Paper, int]] = {
        "label": (LabelSheet((LABEL,)), LABEL_PPI),
        "label-scripts": (LabelSheet((HARD_LABEL,)), LABEL_PPI),
        "invoice": (INVOICE, PAGE_PPI),
        "statement": (STATEMENT, PAGE_PPI),
    }
    hashes = "".join(f"{hashlib.sha256(pdf(paper)).hexdigest()}  {name}.pdf\n" for name, (paper, _) in papers.items())
    known = FOLDER / "sha256.txt"
    if is_check:
        is_today = known.exists() and known.read_text() == hashes
        if not is_today:
            print(f"{known.relative_to(ROOT)} is not of today's templates: run scripts/papers.py")
        return 0 if is_today else 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (paper, ppi) in papers.items():
        (FOLDER / f"{name}.png").write_bytes(png_pages(paper, ppi)[0])
    known.write_text(hashes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
