"""What calls of dependencies count."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CALLS = Counter("lastmile_dependency_calls", "Calls of a dependency, by how they ended", ["dependency", "result"])
RETRIES = Counter("lastmile_dependency_retries", "Attempts after the first of their call", ["dependency"])
NOT_RETRIED = Counter("lastmile_dependency_retries_refused", "Retries that the budget did not allow", ["dependency"])
ATTEMPT_SECONDS = Histogram(
    "lastmile_dependency_attempt_seconds", "Time of an attempt, answered or not", ["dependency"], buckets=_SECONDS
)
UNDER_WAY = Gauge("lastmile_dependency_calls_under_way", "Calls that have not ended", ["dependency"])
CHANGES = Counter(
    "lastmile_dependency_circuit_changes", "Changes of a circuit, by its new state", ["dependency", "state"]
)
SHARE = Gauge("lastmile_dependency_circuit_share", "Share of calls that a circuit lets through", ["dependency"])
TOLD = Counter("lastmile_dependency_circuits_told", "Circuits opened because another process told", ["dependency"])
