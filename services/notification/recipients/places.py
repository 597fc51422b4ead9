"""Where sealed and hashed values belong: one that is moved elsewhere does not open, or is not found."""

NAME, ADDRESS, LOOKUP, CONTENT = b"recipient name", b"address", b"customer lookup", b"message content"
WEBHOOK_SECRET = b"webhook secret"


def of_channel(channel: str) -> bytes:
    """The place of an address's hash: the same text is another address on another channel."""
    return b"address on " + channel.encode()
