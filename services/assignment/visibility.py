"""What a caller's transactions may see: a merchant its own rows by the database's policy, others every merchant's."""

from libs.grpc_server.identity import Principal, Role
from libs.postgres.tenancy import Visibility

TENANT = "assignment_tenant"
OPERATOR = Visibility("assignment_operator")


def visibility_of(principal: Principal) -> Visibility:
    """Return what `principal` may see in the database."""
    if principal.role is Role.MERCHANT:
        return Visibility.of(TENANT, [principal.merchant_id])
    return OPERATOR
