"""What a caller's transactions may see: a merchant its own rows by the database's policy, ops every merchant's."""

from libs.grpc_server.identity import Principal, Role
from libs.postgres.tenancy import Visibility

TENANT = "notification_tenant"
OPERATOR = Visibility("notification_operator")

READING_TENANT = "notification_tenant_reader"
READING_OPERATOR = Visibility("notification_operator_reader")


def visibility_of(principal: Principal) -> Visibility:
    """Return what `principal` may see in the database."""
    if principal.role is Role.MERCHANT:
        return Visibility.of(TENANT, [principal.merchant_id])
    return OPERATOR


def reading_visibility_of(principal: Principal) -> Visibility:
    """Return the same for a query, whose roles read and do nothing else."""
    if principal.role is Role.MERCHANT:
        return Visibility.of(READING_TENANT, [principal.merchant_id])
    return READING_OPERATOR
