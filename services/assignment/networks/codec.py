"""Partner networks between protobuf and plain values."""

from lastmile.assignment.v1 import network_pb2
from lastmile.events.v1 import event_pb2

from services.assignment.events import event_text, timestamp
from services.assignment.networks.network import PartnerNetwork


def network_to(network: PartnerNetwork) -> network_pb2.PartnerNetwork:
    """Return the network as its callers see it."""
    return network_pb2.PartnerNetwork(
        code=network.code,
        health=network.health,
        note=network.note,
        version=network.version,
        updated_at=timestamp(network.updated_at),
        said_health=network.said_health,
        circuit_share=network.circuit_share,
        circuit_note=network.circuit_note,
    )


def changed_event(network: PartnerNetwork, traceparent: str) -> str:
    """Return the event of a network's health. A network belongs to no city."""
    return event_text(
        event_pb2.Event(partner_network_changed=event_pb2.PartnerNetworkChanged(network=network_to(network))),
        subject=f"partner-networks/{network.code}",
        city_code="",
        sequence=network.version,
        at=network.updated_at,
        traceparent=traceparent,
    )
