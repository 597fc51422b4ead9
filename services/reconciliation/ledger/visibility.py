"""Which accounts a caller may see. The database enforces it for merchants besides."""

from libs.grpc_server.identity import Principal, Role
from services.reconciliation.ledger.postings import Account, AccountKind

_PARTNER_KINDS = frozenset({AccountKind.PARTNER, AccountKind.CASH})


def may_see(principal: Principal, account: Account) -> bool:
    """Return whether the account is the caller's: ops see all, a partner its pay and its cash, a merchant its own."""
    if principal.role is Role.OPS:
        return True
    if principal.role is Role.PARTNER:
        return account.kind in _PARTNER_KINDS and account.owner == principal.partner_id
    return account.kind is AccountKind.MERCHANT and account.owner == principal.merchant_id
