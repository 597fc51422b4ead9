"""Which words are used: the merchant's before the company's before the built-in ones; the language before English."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from services.notification.templates.builtin import BUILTIN, FALLBACK_LANGUAGE, Use
from services.notification.templates.language import DIGEST, Compiled, compiled

# Whose templates they are that are nobody's in particular, in the table.
COMPANY = UUID(int=0)


def owner_of(merchant_id: UUID) -> UUID | None:
    """Return whose a kept template is; None for the company."""
    return None if merchant_id == COMPANY else merchant_id


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """A version of a template as it is kept. `merchant_id` is None for the company's own."""

    id: UUID
    merchant_id: UUID | None
    use: Use
    version: int
    subject: str
    body: str


@dataclass(slots=True)
class TemplateBook:
    """The templates in use, each compiled when it is first needed."""

    _texts: dict[tuple[UUID | None, Use], tuple[str, str]] = field(default_factory=dict)
    _compiled: dict[tuple[str, str, bool], Compiled] = field(default_factory=dict)

    def replace(self, stored: Iterable[StoredTemplate]) -> None:
        """Use these, and forget what was used before."""
        self._texts = {(template.merchant_id, template.use): (template.subject, template.body) for template in stored}
        self._compiled = {}

    def find(self, merchant_id: UUID | None, use: Use) -> Compiled | None:
        """Return the best template, or None where nobody has any."""
        for texts in self._candidates(merchant_id, use):
            key = (*texts, use.status == DIGEST)
            known = self._compiled.get(key)
            if known is None:
                known = self._compiled[key] = compiled(*texts, digest=use.status == DIGEST)
            return known
        return None

    def _candidates(self, merchant_id: UUID | None, use: Use) -> Iterator[tuple[str, str]]:
        spoken = use.language.partition("-")[0]
        for language in dict.fromkeys((use.language, spoken, FALLBACK_LANGUAGE)):
            wanted = Use(use.status, use.audience, use.channel, language)
            for owner in dict.fromkeys((merchant_id, None)):
                if (owner, wanted) in self._texts:
                    yield self._texts[owner, wanted]
            if wanted in BUILTIN:
                yield BUILTIN[wanted]
