"""camt.053 (ISO 20022): a bank's account statement in XML. Each transaction of each entry is a row.

Money that leaves the account pays a partner or network, and money that comes is cash handed in. Read by expat as it
comes: a document type is refused before any of it is read, and entities exist only where one is declared, so there is
nothing to expand and nothing to fetch.
"""

# No document type is let through, and with it no entity: what these warnings are about cannot begin.
from collections.abc import Iterator
from xml.parsers import expat

from services.reconciliation.statements.batches import Batch, Batches
from services.reconciliation.statements.content import Content
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import Format, Mapping
from services.reconciliation.statements.problems import FileRefusedError

FORMAT = Format.CAMT053
_PIECE_BYTES = 64 * 1024
_DEPTH_MAX = 64
_NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001."
_ENTRY, _TRANSACTION = "Ntry", "TxDtls"
# Where each field may stand below an entry or a transaction, the better one first.
_REFERENCES = ("Refs/EndToEndId", "Refs/InstrId", "RmtInf/Ustrd", "Refs/TxId", "NtryRef", "AcctSvcrRef")
_MOMENTS = ("BookgDt/DtTm", "ValDt/DtTm", "BookgDt/Dt", "ValDt/Dt")
_PARTY = ("Pty/Id/PrvtId/Othr/Id", "Pty/Id/OrgId/Othr/Id", "Id/PrvtId/Othr/Id", "Id/OrgId/Othr/Id", "Pty/Nm", "Nm")
_NOT_PROVIDED = "NOTPROVIDED"
# The amount of a transaction, which a lone one has from its entry where it states none.
_AMOUNTS = ("Amt", "AmtDtls/TxAmt/Amt")
# As xs:boolean spells it.
_FALSE = ("", "false", "0")
# Older versions have a text, younger ones a code, or a word of the bank's own.
_STATES, _BOOKED = ("Sts", "Sts/Cd", "Sts/Prtry"), "BOOK"
_TRANSACTIONS_COUNT = "NtryDtls/Btch/NbOfTxs"


def read(content: Content, mapping: Mapping, limits: IntakeLimits) -> Iterator[Batch]:
    """Yield the file's rows. Raises FileRefusedError."""
    document = _Document(limits)
    while piece := content.read(_PIECE_BYTES):
        document.feed(piece)
        if document.batches.is_full:
            yield from document.batches.take()
    document.end()
    yield from document.batches.take()


class _Document:
    """Follows the elements of a document, and remembers the texts of the entry and the transaction it is in."""

    def __init__(self, limits: IntakeLimits) -> None:
        self.batches = Batches(limits)
        self._limits = limits
        self._path: list[str] = []
        self._text: list[str] = []
        self._text_chars = 0
        # Path below the entry or transaction -> its text; None outside one.
        self._entry: dict[str, str] | None = None
        self._transaction: dict[str, str] | None = None
        # The entry's first transaction where it has no amount, until it is known whether it is the only one.
        self._waiting: dict[str, str] | None = None
        self._rows_of_entry = 0
        self._start = 0
        # Since an element or a text was seen to its end.
        self._unfinished_bytes = 0
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._finish
        parser.CharacterDataHandler = self._add_text
        self._parser = parser

    def feed(self, piece: bytes, *, is_last: bool = False) -> None:
        """Read a piece. Raises FileRefusedError."""
        self._unfinished_bytes += len(piece)
        if self._unfinished_bytes > _PIECE_BYTES + self._limits.line_bytes_max:
            raise FileRefusedError("LINE_TOO_LONG", f"a tag has more than {self._limits.line_bytes_max} bytes")
        try:
            self._parser.Parse(piece, is_last)
        except expat.ExpatError as error:
            reason = "FILE_TRUNCATED" if is_last and self._path else "XML_MALFORMED"
            raise FileRefusedError(reason, f"it is no whole XML document: {error}") from None
        except FileRefusedError:
            raise
        # The parser asks Python for an encoding that it does not have, which does not have all, or not for it.
        except (LookupError, ValueError) as error:
            raise FileRefusedError("ENCODING_UNEXPECTED", f"its encoding is not read: {error}") from None

    def end(self) -> None:
        """Read the end of the document."""
        self.feed(b"", is_last=True)

    def _refuse_doctype(self, *_: object) -> None:
        raise FileRefusedError("XML_DOCTYPE", "a statement has no document type, and entities are not read")

    def _begin(self, qualified: str, attributes: dict[str, str]) -> None:
        self._unfinished_bytes = 0
        namespace, _, name = qualified.rpartition(" ")
        if not self._path and (name != "Document" or not namespace.startswith(_NAMESPACE)):
            raise FileRefusedError("XML_NOT_CAMT053", f"the document is {qualified:.80}, not camt.053")
        self._path.append(name)
        if len(self._path) > _DEPTH_MAX:
            raise FileRefusedError("XML_TOO_DEEP", f"elements are nested deeper than {_DEPTH_MAX}")
        self._text.clear()
        self._text_chars = 0
        if name == _ENTRY and self._entry is None:
            self._entry, self._rows_of_entry, self._start = {}, 0, len(self._path)
        elif name == _TRANSACTION and self._entry is not None and self._transaction is None:
            self._transaction, self._start = {}, len(self._path)
        elif name == "Amt" and "Ccy" in attributes:
            self._keep("@Ccy", attributes["Ccy"])

    def _finish(self, qualified: str) -> None:
        self._unfinished_bytes = 0
        name = self._path[-1]
        text = "".join(self._text).strip()
        if text:
            self._keep("", text)
        self._text.clear()
        if name == _TRANSACTION and self._transaction is not None and len(self._path) == self._start:
            self._finish_transaction(self._transaction)
            self._transaction, self._start = None, self._path.index(_ENTRY) + 1
        elif name == _ENTRY and self._entry is not None and self._transaction is None:
            self._finish_entry(self._entry)
            self._entry = None
        self._path.pop()

    def _finish_transaction(self, found: dict[str, str]) -> None:
        is_first = self._rows_of_entry == 0 and self._waiting is None
        self._add_waiting()
        if is_first and not any(key in found for key in _AMOUNTS):
            self._waiting = found
        else:
            self._add(found)

    def _finish_entry(self, entry: dict[str, str]) -> None:
        if self._waiting is not None and entry.get(_TRANSACTIONS_COUNT, "1") == "1":
            self._waiting |= {key: entry[key] for key in ("Amt", "Amt@Ccy") if key in entry}
        self._add_waiting()
        if self._rows_of_entry == 0:
            self._add(entry)

    def _add_waiting(self) -> None:
        if self._waiting is not None:
            self._add(self._waiting)
            self._waiting = None

    def _add_text(self, text: str) -> None:
        self._unfinished_bytes = 0
        self._text_chars += len(text)
        if self._text_chars > self._limits.line_bytes_max:
            raise FileRefusedError("LINE_TOO_LONG", f"a text has more than {self._limits.line_bytes_max} characters")
        if self._entry is not None:
            self._text.append(text)

    def _keep(self, suffix: str, text: str) -> None:
        found = self._transaction if self._transaction is not None else self._entry
        if found is not None:
            key = "/".join(self._path[self._start :]) + suffix
            found.setdefault(key, text[: self._limits.content_chars_max])

    def _add(self, found: dict[str, str]) -> None:
        self._rows_of_entry += 1
        entry = self._entry or {}
        amount = next((key for key in _AMOUNTS if key in found), _AMOUNTS[0])
        if problem := _problem_of(found, entry):
            content = ", ".join(f"{key}={text}" for key, text in found.items())
            self.batches.refuse(*problem, content, found.get(amount, ""))
            return
        sign = found.get("CdtDbtInd") or entry.get("CdtDbtInd", "")
        self.batches.add(
            (
                next(
                    (text for key in _REFERENCES if (text := _text_of(key, found, entry)) != _NOT_PROVIDED and text), ""
                ),
                _payee(found, "Cdtr" if sign == "DBIT" else "Dbtr"),
                found.get(amount, ""),
                next((text for key in _MOMENTS if (text := _text_of(key, found, entry))), ""),
                sign,
                found.get(f"{amount}@Ccy", ""),
            )
        )


def _problem_of(found: dict[str, str], entry: dict[str, str]) -> tuple[str, str] | None:
    """Return the reason why a transaction is no payment, and what is to be said of it."""
    if any(told.get("RvslInd", "") not in _FALSE for told in (found, entry)):
        return "REVERSAL_NOT_READ", "the bank has taken it back"
    status = next((entry[key] for key in _STATES if key in entry), _BOOKED)
    if status != _BOOKED:
        return "ENTRY_NOT_BOOKED", f"its status is {status:.60}: the bank has not booked it"
    return None


def _text_of(key: str, found: dict[str, str], entry: dict[str, str]) -> str:
    return found.get(key) or entry.get(key, "")


def _payee(found: dict[str, str], party: str) -> str:
    return next((text for key in _PARTY if (text := found.get(f"RltdPties/{party}/{key}"))), "")
