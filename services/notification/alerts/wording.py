"""What an alert says: to ops whom it affects and what is done about it, to a merchant only what concerns it. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from services.notification.alerts.alert import COUNTED_MAX, Alert, Impact, Key, Kind, Symptom
from services.notification.alerts.signals import NETWORK_PREFIX, PROVIDER_PREFIX


def title_of(key: Key) -> str:
    """Return what is concerned, as a person calls it."""
    return {
        Kind.NETWORK: f"partner network {key.subject.removeprefix(NETWORK_PREFIX)}",
        Kind.PROVIDER: f"provider {key.subject.removeprefix(PROVIDER_PREFIX)}",
        Kind.QUEUE: f"messages by {key.subject}",
        Kind.STREAM: f"events for {key.subject}",
    }[key.kind]


def action_of(
    key: Key,
    symptoms: frozenset[Symptom],
    impact: Impact,
    probe_every_ms: int,
    routes: Mapping[str, Sequence[str]],
) -> str:
    """Return what Lastmile does about an outage."""
    is_left_alone = Symptom.CIRCUIT_OPEN in symptoms
    probe = f"it is probed every {probe_every_ms / 1000:g} s, and gets its share back step by step"
    if key.kind is Kind.NETWORK:
        if not is_left_alone:
            return "its partners stay in matching until its circuit opens"
        return (
            f"{_counted(impact.partners, 'partner')} of it are out of matching; "
            f"{_counted(impact.offers_withdrawn, 'unanswered offer')} were taken back, and "
            f"{_counted(impact.deliveries_rematched, 'delivery', 'deliveries')} of those offered to others; {probe}"
        )
    if key.kind is Kind.PROVIDER:
        unknown = "what it may have sent is asked of it, and never sent again by itself"
        if not is_left_alone:
            return f"it is asked as before until its circuit opens; {unknown}"
        return f"{_instead(key.subject.removeprefix(PROVIDER_PREFIX), routes)}; {probe}; {unknown}"
    if key.kind is Kind.QUEUE:
        return "what is urgent is sent first; what is of no use any more when its turn comes is not sent"
    return "events wait in their streams, in order, and none is dropped"


def _instead(provider: str, routes: Mapping[str, Sequence[str]]) -> str:
    said = []
    for channel, names in sorted(routes.items()):
        if provider in names:
            others = [name for name in names if name != provider]
            said.append(f"{channel} goes to {', '.join(others)}" if others else f"{channel} waits for it")
    return "; ".join(said) or "nothing is sent through it"


def affected(impact: Impact) -> str:
    """Return the counts of an impact that are not zero."""
    said = [
        _counted(impact.merchants, "merchant"),
        _counted(impact.partners, "partner"),
        _counted(impact.offers_withdrawn, "offer") + " taken back",
        _counted(impact.deliveries_rematched, "delivery", "deliveries") + " offered again",
        _counted(impact.messages_waiting, "message") + " waiting",
        _counted(impact.messages_unknown, "message") + " that may have been sent",
    ]
    return ", ".join(part for part in said if not part.startswith("0 ")) or "nobody so far"


def ops_text(alert: Alert, now: datetime) -> str:
    """Return what ops are told of an alert."""
    lines = [
        f"What: {title_of(alert.key)}: {alert.what}.",
        f"Since: {alert.since:%Y-%m-%d %H:%M:%S} UTC.",
        f"Affected: {affected(alert.impact)}.",
        f"Done about it: {alert.action}.",
    ]
    if alert.relapses:
        lines.append(f"It seemed over {_counted(alert.relapses, 'time')} before.")
    if alert.recovered_at is not None:
        minutes = max(1, round((now - alert.since).total_seconds() / 60))
        lines.insert(0, f"It is over, after {_counted(minutes, 'minute')}.")
    return "\n".join(lines)


def merchant_text(alert: Alert, count: int) -> str:
    """Return what one merchant is told, with how many of its own deliveries or messages are concerned."""
    over = alert.recovered_at is not None
    if alert.key.kind is Kind.NETWORK:
        if over:
            return "All partners can be offered your deliveries again."
        return (
            f"{_counted(count, 'of your deliveries', 'of your deliveries')} had been offered to partners who cannot be "
            "reached now. They are being offered to others by themselves; some may arrive later than planned."
        )
    if over:
        return "Messages to your customers go out without delay again."
    return (
        f"{_counted(count, 'message')} to your customers are delayed. They are sent as soon as that is possible, "
        "each once; your deliveries go on as planned."
    )


def _number(count: int) -> str:
    return f"{COUNTED_MAX:,} or more" if count >= COUNTED_MAX else f"{count:,}"


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{_number(count)} {one if count == 1 else many or one + 's'}"
