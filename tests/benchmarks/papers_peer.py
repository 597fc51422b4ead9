"""ReportLab as a peer of the papers' benchmark: draws labels or invoices of JSON, prints how many a CPU second.

It does not fit texts to their boxes and shapes no script of India, so it is given Latin texts.
"""

import io
import json
import sys
import time

from reportlab.graphics import renderPDF
from reportlab.graphics.barcode.code128 import Code128
from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import inch
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

STYLES = getSampleStyleSheet()


def label(told):
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(4 * inch, 6 * inch), invariant=True)
    canvas.setFont("Helvetica-Bold", 18)
    canvas.drawString(14, 400, told["name"])
    body = Paragraph(told["address"], STYLES["Normal"])
    body.wrapOn(canvas, 260, 200)
    body.drawOn(canvas, 14, 330)
    canvas.drawString(14, 300, f"COD {told['cash'] / 100:,.2f}")
    Code128(told["reference"], barWidth=1.06, barHeight=60).drawOn(canvas, 14, 200)
    drawing = Drawing(90, 90)
    drawing.add(QrCodeWidget(told["id"], barLevel="M", barWidth=90, barHeight=90))
    renderPDF.draw(drawing, canvas, 180, 20)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def invoice(told):
    out = io.BytesIO()
    rows = [["Description", "Deliveries", "Taxable", "CGST", "SGST", "Total"]]
    for description, count, taxable, tax in told["lines"]:
        amounts = (taxable, tax / 2, tax / 2, taxable + tax)
        rows.append([description, f"{count:,}", *(f"{paise / 100:,.2f}" for paise in amounts)])
    document = SimpleDocTemplate(out, pagesize=A4, invariant=True)
    title = Paragraph(f"Tax invoice {told['number']}", STYLES["Title"])
    document.build([title, Paragraph(told["name"], STYLES["Normal"]), Spacer(1, 12), Table(rows)])
    return out.getvalue()


def main():
    draw, papers = {"labels": label, "invoices": invoice}[sys.argv[1]], json.load(sys.stdin)
    draw(papers[0])
    best = 0.0
    for _ in range(3):
        started_s = time.process_time()
        for told in papers:
            assert draw(told).startswith(b"%PDF")
        best = max(best, len(papers) / (time.process_time() - started_s))
    sys.stdout.write(f"{best}\n")


if __name__ == "__main__":
    main()
