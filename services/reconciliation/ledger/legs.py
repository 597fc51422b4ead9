"""What a leg is owed, as SQL. Pure.

Not a function of the database: that is called for each row, which takes a hundred times as long.
"""

# After all entries.
EVER = "'ffffffff-ffff-ffff-ffff-ffffffffffff'"


def as_corrected(before: str) -> str:
    """Return an expression for the paise of `g`, a row of reconciliation.legs, as corrected before an entry."""
    return f"""(g.paise - CASE g.leg WHEN 'payout' THEN coalesce((
      SELECT sum(k.paise) FROM reconciliation.entries c
      JOIN reconciliation.postings k ON k.entry_id = c.id AND k.account = g.payee AND k.purpose = 'earnings'
      WHERE c.corrects = g.entry_id AND c.id < {before}), 0)::bigint ELSE 0 END)"""  # noqa: S608 - of statements' own
