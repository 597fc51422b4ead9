"""Papers that tests, benchmarks and the documentation render: ordinary ones, and ones that are hard to set."""

import random
from dataclasses import replace
from datetime import date
from uuid import UUID

from services.reconciliation.papers.invoice import Invoice, InvoiceLine, TaxParty
from services.reconciliation.papers.label import Address, Label, LabelSheet
from services.reconciliation.papers.statement import PartnerStatement, StatementLine, StatementSection

SENDER = Address(
    "Nandi Books & Stationery",
    "14, 3rd Cross, 8th Main, Koramangala 4th Block",
    "Bengaluru",
    "560034",
    "+91 80 4567 8901",
)
RECIPIENT = Address(
    "Priya Raghunathan",
    "Flat 1204, Tower B, Lakeside Residency, Whitefield Main Road, near the back gate of the park, Hoodi",
    "Bengaluru",
    "560048",
    "+91 98860 12345",
)
LABEL = Label(
    delivery_id=UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
    reference="NB-2026-1048573",
    merchant_name="Nandi Books",
    sender=SENDER,
    recipient=RECIPIENT,
    city_code="BLR",
    weight_g=1_250,
    cash_paise=1_23_456_78,
    dispatched_on=date(2026, 11, 26),
    route_code="WF-07",
    service="SAME DAY",
)
# Four scripts, a long address, a reference of the longest kind, code of typst.
HARD_LABEL = Label(
    delivery_id=UUID("01890a5d-ac96-774b-bcce-b302099a8058"),
    reference="ABCDEFGHIJKLMNOPQRSTUVWXYZab",
    merchant_name="राजेश ट्रेडर्स प्राइवेट लिमिटेड, அண்ணா நகர் கிளை",
    sender=Address("শ্রীমতী অনিন্দিতা চট্টোপাধ্যায়", "১৪/বি, রবীন্দ্র সরণি", "কলকাতা", "700007"),
    recipient=Address(
        "ஸ்ரீநிவாசன் வெங்கடசுப்பிரமணியன்",
        "எண் 12, மூன்றாவது குறுக்குத் தெரு, அண்ணா நகர் மேற்கு, திருமங்கலம் மெட்ரோ நிலையம் அருகில் · "
        + "कमरा नंबर 4, दूसरी मंज़िल, " * 4
        + '#panic("x") *bold* $x$ '
        + "x" * 60,
        "சென்னை",
        "600040",
        "+919876543210",
    ),
    city_code="MAA",
    weight_g=50,
    cash_paise=0,
    dispatched_on=date(2026, 11, 26),
    route_code="AN-12/WEST",
)
SUPPLIER = TaxParty(
    "Lastmile Logistics Private Limited",
    "No. 7, Residency Road\nAshok Nagar, Bengaluru 560025",
    "29",
    "29AAACL1234C1Z1",
)
BUYER = TaxParty(
    "Nandi Books & Stationery Private Limited",
    "14, 3rd Cross, 8th Main\nKoramangala 4th Block, Bengaluru 560034",
    "29",
    "29AABCN4321D1ZU",
    "accounts@nandibooks.example",
)
INVOICE = Invoice(
    number="KA/26-27/000123",
    issued_on=date(2026, 11, 1),
    first_day=date(2026, 10, 1),
    last_day=date(2026, 10, 31),
    supplier=SUPPLIER,
    recipient=BUYER,
    sac="996813",
    lines=(
        InvoiceLine("Local delivery, BLR", 12_480, 5_84_321_75, 1_800, 1_05_177_91),
        InvoiceLine("Local delivery, MYS", 1_204, 48_125_00, 1_800, 8_662_50),
        InvoiceLine("Local delivery taken back, BLR", 12, -561_84, 1_800, -101_13),
    ),
)
STATEMENT = PartnerStatement(
    heading="Partner statement",
    number="2026-W47-000481",
    payee_name="राजेश कुमार / Rajesh Kumar",
    payee_account="partner:01890a5d-ac96-774b-bcce-b302099a8057",
    issuer_name=SUPPLIER.legal_name,
    first_day=date(2026, 11, 16),
    last_day=date(2026, 11, 22),
    closed_on=date(2026, 11, 23),
    sections=(
        StatementSection(
            "Earnings",
            (
                StatementLine("Base", 212, 10_600_00),
                StatementLine("Distance", 212, 4_281_50),
                StatementLine("Weight", 57, 312_00),
                StatementLine("Waiting", 18, 126_00),
                StatementLine("Surge", 44, 987_40),
                StatementLine("On-time bonus", 190, 950_00),
                StatementLine("Late penalty", 6, -90_00),
                StatementLine("Hourly guarantee", 0, 412_55),
            ),
        ),
        StatementSection("Tax withheld", (StatementLine("TDS", 0, -175_79),)),
        StatementSection("Cash", (StatementLine("Collected at the door, not handed in", 3, -1_245_00),)),
        StatementSection(
            "Adjustments",
            (
                StatementLine(
                    "Cancelled after the cycle was closed: delivery 01890a5d-ac96-774b-bcce-b302099a8057", 1, -52_10
                ),
            ),
        ),
    ),
    content_sha256="3b2f" * 16,
)

_WORDS = (
    "Flat",
    "Tower",
    "Main",
    "Road",
    "Cross",
    "Block",
    "Nagar",
    "near",
    "gate",
    "Phase",
    "Layout",
    "Street",
    "Colony",
)


def made_up_label(seed: int) -> Label:
    """Return a label like no other: one in three is of people who write another script."""
    made = random.Random(seed)
    like = HARD_LABEL if seed % 3 == 0 else LABEL
    address = f"{made.randrange(1, 999)} {' '.join(made.choices(_WORDS, k=14))}"
    return replace(
        like,
        delivery_id=UUID(int=made.getrandbits(128), version=4),
        reference=f"NB-2026-{seed:07d}",
        recipient=replace(like.recipient, name=f"{like.recipient.name} {seed}", address=address),
        cash_paise=made.randrange(0, 5_000_00),
    )


def made_up_sheet(seed: int, labels: int = 1) -> LabelSheet:
    """Return a sheet of so many labels."""
    return LabelSheet(tuple(made_up_label(seed * labels + place) for place in range(labels)))


def made_up_invoice(seed: int) -> Invoice:
    """Return an invoice like no other."""
    made = random.Random(seed)
    lines = tuple(
        replace(line, taxable_paise=paise, tax_paise=paise * 18 // 100)
        for line in INVOICE.lines
        for paise in [made.randrange(1_00, 50_00_000_00)]
    )
    buyer = replace(BUYER, legal_name=f"Merchant {seed} Private Limited")
    return replace(INVOICE, number=f"KA/26-27/{seed:06d}", recipient=buyer, lines=lines)


def label_body(label: Label) -> dict[str, object]:
    """Return a label as it is asked for over REST."""

    def address(one: Address) -> dict[str, str]:
        return {
            "name": one.name, "address": one.address, "city": one.city, "pincode": one.pincode, "phone": one.phone
        }  # fmt: skip

    return {
        "deliveryId": str(label.delivery_id),
        "reference": label.reference,
        "merchantName": label.merchant_name,
        "sender": address(label.sender),
        "recipient": address(label.recipient),
        "cityCode": label.city_code,
        "weightG": label.weight_g,
        "cashPaise": label.cash_paise,
        "dispatchedOn": label.dispatched_on.isoformat(),
        "routeCode": label.route_code,
        "service": label.service,
    }
