"""What belongs to no city: merchants' lists of partners, and how well the partner networks answer. Pure."""

from collections.abc import Iterable
from uuid import UUID

from services.assignment.merchants.merchant import MerchantPartners
from services.assignment.networks.network import PartnerNetwork
from services.assignment.picture.facts import Heard


class Company:
    """One for all cities of a matcher. Lists are kept of the merchants who have been asked about, and of the news."""

    def __init__(self) -> None:
        self.lists: dict[UUID, MerchantPartners] = {}
        self.networks: dict[str, PartnerNetwork] = {}

    def told_lists(self, lists: MerchantPartners) -> Heard:
        """Take in a merchant's lists."""
        known = self.lists.get(lists.merchant_id)
        if known is not None and lists.version <= known.version:
            return Heard.KNOWN
        self.lists[lists.merchant_id] = lists
        return Heard.NEWS

    def told_network(self, network: PartnerNetwork) -> Heard:
        """Take in a network's health."""
        known = self.networks.get(network.code)
        if known is not None and network.version <= known.version:
            return Heard.KNOWN
        self.networks[network.code] = network
        return Heard.NEWS

    def unknown(self, merchant_ids: Iterable[UUID]) -> set[UUID]:
        """Return the merchants whose lists are not known."""
        return {merchant_id for merchant_id in merchant_ids if merchant_id not in self.lists}

    def health(self, network_code: str) -> float:
        """Return a network's health; 1 where nobody has said a word about it."""
        network = self.networks.get(network_code)
        return 1.0 if network is None else network.health
