"""What a picture makes of an event of its city. Pure."""

from services.assignment.partners.partner import Partner
from services.assignment.picture.city_picture import CityPicture
from services.assignment.picture.facts import Heard, LiveDelivery, StateChange, Unclear

OfCity = Partner | LiveDelivery | StateChange | Unclear


def told(picture: CityPicture, news: OfCity, *, before_the_picture: bool = False) -> Heard:
    """Tell a picture what an event says; MISSED where it must be read again.

    before_the_picture: the event is older than the picture, which most likely holds it: what is unknown all the same
    has come to its end since, or its commit was not to be seen yet.
    """
    if isinstance(news, Partner):
        if before_the_picture and picture.partner_version(news.id) is None:
            return Heard.MISSED
        return picture.told_partner(news)
    unknown = picture.delivery_version(news.id) is None
    if unknown and (before_the_picture or isinstance(news, Unclear)):
        return Heard.MISSED
    if isinstance(news, LiveDelivery):
        return picture.told_creation(news)
    return picture.told_change(news) if isinstance(news, StateChange) else Heard.KNOWN
