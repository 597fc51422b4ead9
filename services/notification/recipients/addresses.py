"""Addresses by channel: checked, and in their one spelling."""

from libs.privacy.addresses import AddressError, email_of, phone_of
from libs.privacy.vault import Vault
from services.notification.planning.rules import EMAIL, SMS
from services.notification.recipients import places

_SPELLED = {SMS: phone_of, EMAIL: email_of}


def spelled(channel: str, text: str) -> str:
    """Return an address as it is kept. Raises AddressError."""
    if channel not in _SPELLED:
        raise AddressError(f"of the channel {channel} cannot be given")
    return _SPELLED[channel](text)


def kept(vault: Vault, channel: str, address: str) -> tuple[bytes, bytes]:
    """Return an address sealed, and its hash."""
    return vault.seal(address, places.ADDRESS), vault.hash(address, places.of_channel(channel))
