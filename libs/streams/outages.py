"""What redis raises when it is gone, hangs, loads its data, or is no primary any more."""

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

REDIS_AWAY = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, OSError, TimeoutError)
