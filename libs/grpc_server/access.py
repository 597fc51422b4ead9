"""Who may call each RPC, read from the `lastmile.common.v1.access` option that every RPC declares."""

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from lastmile.common.v1 import access_pb2

from libs.grpc_server.identity import Role

_ROLES = {
    access_pb2.ROLE_MERCHANT: Role.MERCHANT,
    access_pb2.ROLE_OPS: Role.OPS,
    access_pb2.ROLE_PARTNER: Role.PARTNER,
}


@dataclass(frozen=True, slots=True)
class MethodAccess:
    """The roles that may call a method; `anonymous` when no credential is needed."""

    roles: frozenset[Role]
    anonymous: bool


def method_access(method: MethodDescriptor) -> MethodAccess:
    """Return who may call `method`; ValueError when its proto does not say."""
    if not method.GetOptions().HasExtension(access_pb2.access):
        raise ValueError(f"{method.full_name} declares no (lastmile.common.v1.access)")
    option = method.GetOptions().Extensions[access_pb2.access]
    return MethodAccess(frozenset(_ROLES[role] for role in option.roles) or frozenset(Role), option.anonymous)


def access_table(service_names: Iterable[str]) -> dict[str, MethodAccess]:
    """Return `/package.Service/Method` -> access for every method of the named services."""
    pool = descriptor_pool.Default()
    return {
        f"/{name}/{method.name}": method_access(method)
        for name in service_names
        for method in pool.FindServiceByName(name).methods
    }
