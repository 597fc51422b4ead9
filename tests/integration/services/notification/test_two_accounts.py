"""Two accounts at one company: the second takes over where the first certainly did not send, and nowhere else."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pydantic import ValidationError

from services.notification.providers.registry import ProviderDefinitionError, named, settings_of
from services.notification.providers.twilio import TwilioProvider, TwilioSettings
from services.notification.routes import Routes
from services.notification.sending.carriers import Carrier
from services.notification.sending.process import carrying
from tests.notifications import Notifications, sending
from tests.peers.twilio import Fault, TwilioPeer, twilio_peer
from tests.texts import LIMITS, ends_as, texted

ROUTES: Routes = {"sms": ["twilio", "twilio:second"]}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes no more connections and refuses none: its queue is full, as that of a machine that hangs."""
    with ExitStack() as held:
        listening = held.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        while True:
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(listening.getsockname())
            except TimeoutError:
                break
        yield listening.getsockname()[1]


def told(monkeypatch: pytest.MonkeyPatch, first: TwilioPeer, second: TwilioPeer) -> None:
    """Have the environment say where both are."""
    limits = LIMITS.model_dump_json()
    for prefix, peer in (("TWILIO_", first), ("TWILIO_SECOND_", second)):
        for name, value in peer.environment.items():
            monkeypatch.setenv(name.replace("TWILIO_", prefix, 1), value)
        monkeypatch.setenv(f"LASTMILE_NOTIFICATION_{prefix}LIMITS", limits)
        monkeypatch.setenv(f"LASTMILE_NOTIFICATION_{prefix}CONNECT_MS", "700")


async def providers_of(notifications: Notifications, state: str) -> list[str]:
    """Send one text over both accounts; return which were asked."""
    given = {"primary": notifications.primary, "vault": notifications.vault}
    async with carrying(ROUTES, given) as carriers:
        route: list[Carrier] = [carriers[name] for name in ROUTES["sms"]]
        story = await texted(notifications)
        async with sending(notifications.sender({"sms": route})):
            await ends_as(notifications, story, state)
    return [attempt["provider"] for attempt in await notifications.attempts(story)]


async def test_the_first_hangs_before_it_takes_a_connection_and_the_second_sends(
    notifications: Notifications, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with twilio_peer() as second:
        told(monkeypatch, TwilioPeer(port=silent_port), second)
        assert await providers_of(notifications, "sent") == ["twilio", "twilio:second"]
        assert len(second.taken) == 1


async def test_the_first_hangs_when_it_may_have_taken_it_and_the_second_is_not_asked(
    notifications: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with twilio_peer(lambda _: Fault.TAKEN_THEN_HANG) as first, twilio_peer() as second:
        told(monkeypatch, first, second)
        assert await providers_of(notifications, "outcome_unknown") == ["twilio"]
        assert (len(first.taken), second.asked) == (1, 0)


def test_each_account_has_variables_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = named("twilio:second", "sms")
    assert kind is TwilioProvider
    assert settings_of(kind, "twilio") is TwilioSettings
    told(monkeypatch, TwilioPeer(port=1), TwilioPeer(port=2))
    first, second = (settings_of(kind, name)() for name in ROUTES["sms"])
    assert (first.base_url, second.base_url) == ("http://127.0.0.1:1", "http://127.0.0.1:2")  # type: ignore[attr-defined]  # of Twilio's
    monkeypatch.delenv("LASTMILE_NOTIFICATION_TWILIO_SECOND_SENDER")
    with pytest.raises(ValidationError) as refused:
        settings_of(kind, "twilio:second")()
    assert refused.value.title == "TwilioSettings:second"


@pytest.mark.parametrize("name", ["twillio", "twilio:", ":second", "twilio:a:b", "twilio:A", "smtp:second"])
def test_a_route_with_an_impossible_name_stops_the_start(name: str) -> None:
    with pytest.raises(ProviderDefinitionError):
        named(name, "sms")
