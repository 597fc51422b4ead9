"""Every query of the service in one table: what outdates its answers, and how old they may become.

A tag names what an answer depends on; the cache projector moves it on with every event about that. A list is kept where
one tag covers it whatever comes to match its filters or no longer does: by what never changes about a row, such as the
city of a delivery. Whatever else is asked goes to the standby.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from libs.cache.query_cache import CachedQuery
from libs.grpc_server.identity import Principal

CITIES, NETWORKS, MERCHANTS = "cities", "networks", "merchants"
_SERVICES = "/lastmile.assignment.v1"


class CacheWindows(BaseModel):
    """How old answers from the cache may become, by query. 0 keeps none."""

    model_config = ConfigDict(frozen=True)

    get_partner_s: float = Field(300.0, ge=0, le=900, description="GetPartner")
    list_partners_s: float = Field(60.0, ge=0, le=60, description="ListPartners of a city")
    list_deliveries_s: float = Field(60.0, ge=0, le=60, description="ListDeliveries of a merchant or a city")
    list_offers_s: float = Field(60.0, ge=0, le=60, description="ListOffers of a city")
    get_merchant_s: float = Field(300.0, ge=0, le=900, description="GetMerchant and GetMerchantPartners")
    list_merchants_s: float = Field(60.0, ge=0, le=60, description="ListMerchants")
    get_city_s: float = Field(300.0, ge=0, le=900, description="GetCity")
    list_cities_s: float = Field(60.0, ge=0, le=60, description="ListCities")
    list_networks_s: float = Field(60.0, ge=0, le=60, description="ListPartnerNetworks")


def partner_tag(partner_id: str) -> str:
    """Return the tag of one partner."""
    return f"partners/{partner_id.lower()}"


def partners_tag(city_code: str) -> str:
    """Return the tag of a city's partners, and of what each holds."""
    return f"partners@{city_code}"


def merchant_tag(merchant_id: str) -> str:
    """Return the tag of one merchant and its lists of partners."""
    return f"merchants/{merchant_id.lower()}"


def merchant_deliveries_tag(merchant_id: str) -> str:
    """Return the tag of a merchant's deliveries."""
    return f"deliveries@merchant/{merchant_id.lower()}"


def city_deliveries_tag(city_code: str) -> str:
    """Return the tag of a city's deliveries and their offers."""
    return f"deliveries@city/{city_code}"


def queries_of(windows: CacheWindows) -> dict[str, CachedQuery | None]:
    """Return the table by RPC; None where answers are never kept, because they change with almost every look."""

    def kept(tag: Any, window_s: float) -> CachedQuery | None:
        return CachedQuery(tag, int(window_s * 1000)) if window_s else None

    return {
        f"{_SERVICES}.PartnerService/GetPartner": kept(_partner, windows.get_partner_s),
        f"{_SERVICES}.PartnerService/ListPartners": kept(_partners, windows.list_partners_s),
        f"{_SERVICES}.DeliveryService/GetDelivery": None,
        f"{_SERVICES}.DeliveryService/ListDeliveries": kept(_deliveries, windows.list_deliveries_s),
        f"{_SERVICES}.DeliveryService/GetDeliveryHistory": None,
        f"{_SERVICES}.AssignmentService/ListOffers": kept(_offers, windows.list_offers_s),
        f"{_SERVICES}.AssignmentService/ExplainDelivery": None,
        f"{_SERVICES}.AssignmentService/GetPartnerRoute": None,
        f"{_SERVICES}.AssignmentService/ListWindows": None,
        f"{_SERVICES}.MerchantService/GetMerchant": kept(_merchant, windows.get_merchant_s),
        f"{_SERVICES}.MerchantService/GetMerchantPartners": kept(_merchant, windows.get_merchant_s),
        f"{_SERVICES}.MerchantService/ListMerchants": kept(lambda *_: MERCHANTS, windows.list_merchants_s),
        f"{_SERVICES}.CityService/GetCity": kept(lambda *_: CITIES, windows.get_city_s),
        f"{_SERVICES}.CityService/ListCities": kept(lambda *_: CITIES, windows.list_cities_s),
        f"{_SERVICES}.PartnerNetworkService/ListPartnerNetworks": kept(lambda *_: NETWORKS, windows.list_networks_s),
    }


def _partner(_: Principal, request: Any) -> str:
    return partner_tag(request.partner_id)


def _partners(_: Principal, request: Any) -> str | None:
    return partners_tag(request.city_code) if request.city_code else None


def _deliveries(principal: Principal, request: Any) -> str | None:
    merchant_id = principal.merchant_id or request.merchant_id
    if merchant_id:
        return merchant_deliveries_tag(merchant_id)
    return city_deliveries_tag(request.city_code) if request.city_code else None


def _offers(_: Principal, request: Any) -> str | None:
    return city_deliveries_tag(request.city_code) if request.city_code else None


def _merchant(_: Principal, request: Any) -> str:
    return merchant_tag(request.merchant_id)
