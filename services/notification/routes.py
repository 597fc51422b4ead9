"""Which providers carry which channel, in the order in which they are asked."""

from typing import Annotated

from pydantic import Field

Routes = dict[str, Annotated[list[str], Field(min_length=1, max_length=8)]]


def default_routes() -> Routes:
    """Return where messages go that no provider is configured for: the local inbox, but for merchants' own systems."""
    return {"sms": ["inbox"], "email": ["inbox"], "webhook": ["webhook"]}
