"""What is kept of an answer, and of changes. A tag's keys share a hash tag, so that a cluster keeps them together.

lastmile:cache:{partners@BLR}              string: the position from which on the tag's answers are not outdated
lastmile:cache:{partners@BLR}:<digest>     hash: an answer, its kind, and the position that it covers
lastmile:cache:{partners@BLR}:<digest>:by  string: the process that makes the answer anew

An answer is outdated when its tag is beyond its position, or is lost. An answer that is made slowly can therefore never
come back after the change that outdates it: its position is that of what it has read. Positions are hexadecimal numbers
of one width, so that their order is that of text.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from libs.cache.link import CacheAwayError, CacheLink, Command

PREFIX = "lastmile:cache"
# Where an answer that was kept comes from.
CACHE = "cache"
FOUND, MISSING = b"found", b"missing"
# An answer never replaces a later one. A tag that is lost begins anew at the answer's position: whatever was kept
# before it is outdated. KEYS: the entry, its tag. ARGV: position, kind, answer, its life in ms, the tag's life in ms.
_KEEP = """
local kept = redis.call('HGET', KEYS[1], 'position')
if kept and kept > ARGV[1] then return 0 end
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[5])
else
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
end
redis.call('HSET', KEYS[1], 'position', ARGV[1], 'kind', ARGV[2], 'answer', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""
# A tag only goes forward. KEYS: the tag. ARGV: position, its life in ms.
_OUTDATE = """
local known = redis.call('GET', KEYS[1])
if known and known >= ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# Only the holder lets go. KEYS: the lock. ARGV: the holder.
_LEAVE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer as it is kept. `outdated_from` is the tag's position; None when the tag is lost."""

    kind: bytes
    answer: bytes
    position: int
    outdated_from: int | None

    @property
    def is_outdated(self) -> bool:
        """Whether something has changed since, or nobody can tell."""
        return self.outdated_from is None or self.outdated_from > self.position


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer is kept."""

    tag: str
    digest: str

    @classmethod
    def of(cls, tag: str, era: str, scope: str, method: str, request: bytes) -> "Place":
        """Return the place of one scope's answer to a request; `era` is the history and the run it is good for.

        Each part comes with its length, so that no two questions share a text; and no two callers a scope.
        """
        digest = hashlib.sha256()
        for part in (era.encode(), scope.encode(), method.encode(), tag.encode(), request):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return cls(tag, digest.hexdigest())

    @property
    def tag_key(self) -> str:
        """The key of the tag."""
        return tag_key(self.tag)

    @property
    def key(self) -> str:
        """The key of the answer."""
        return f"{tag_key(self.tag)}:{self.digest}"


def tag_key(tag: str) -> str:
    """Return the key of a tag."""
    return f"{PREFIX}:{{{tag}}}"


def keep_command(place: Place, entry: Entry, ttl_ms: int, tag_ttl_s: int) -> Command:
    """Return the command that keeps an answer."""
    position = _text(entry.position)
    lives = (ttl_ms, tag_ttl_s * 1000)
    return ("EVAL", _KEEP, 2, place.key, place.tag_key, position, entry.kind, entry.answer, *lives)


def outdate_command(tag: str, position: int, tag_ttl_s: int) -> Command:
    """Return the command that outdates a tag's answers from before `position`."""
    return ("EVAL", _OUTDATE, 1, tag_key(tag), _text(position), tag_ttl_s * 1000)


async def look_up(link: CacheLink, place: Place) -> Entry | None:
    """Return what is kept, in one exchange; None when there is nothing."""
    return _entry(*checked(await link.ask(*_look_up_commands(place))))


async def take_turn(link: CacheLink, place: Place, holder: str, ttl_ms: int) -> tuple[bool, Entry | None]:
    """Return whether the holder may make the answer anew, as nobody else does; and what is kept then.

    Another may have made it and let go since it was looked up.
    """
    take: Command = ("SET", f"{place.key}:by", holder, "NX", "PX", ttl_ms)
    taken, *kept = checked(await link.ask(take, *_look_up_commands(place)))
    return bool(taken), _entry(*kept)


async def leave_turn(link: CacheLink, place: Place, holder: str) -> None:
    """Let others make the answer anew."""
    await link.ask(("EVAL", _LEAVE, 1, f"{place.key}:by", holder))


def checked(answers: list[Any]) -> list[Any]:
    """Return the answers; CacheAwayError for a Redis that refuses: full, loading, or no primary any more."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise CacheAwayError(str(answer))
    return answers


def _look_up_commands(place: Place) -> tuple[Command, Command]:
    # The tag comes last: a change in between outdates the answer.
    return ("HMGET", place.key, "position", "kind", "answer"), ("GET", place.tag_key)


def _entry(kept: Any, tag: Any) -> Entry | None:
    if kept[0] is None:
        return None
    return Entry(kept[1], kept[2], int(kept[0], 16), None if tag is None else int(tag, 16))


def _text(position: int) -> str:
    return f"{position:016x}"
