"""The gateway's REST API as the command line uses it: one client, its settings, its errors, its retries."""

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

T = TypeVar("T")

HOME_DEFAULT = ".lastmile"
PIECE_BYTES = 64 * 1024
# An answer that comes from what stands before the gateway, not from it, and says no more than "not now".
STATUSES_NOT_NOW = frozenset({429, 502, 503, 504})


class GatewayError(Exception):
    """The gateway cannot be used: the text says why and what to do."""


class RefusedError(GatewayError):
    """The gateway refused a request: `problem` is its problem+json."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.reason: str = problem.get("reason", f"HTTP_{status}")
        # A problem says itself whether the same request may succeed later.
        self.retryable: bool = problem.get("retryable", status in STATUSES_NOT_NOW)
        detail = problem.get("detail", "")
        said = [f"{error['field']}: {error['description']}" for error in problem.get("errors", [])]
        fields = "; ".join(
            one
            for one, error in zip(said, problem.get("errors", []), strict=True)
            if error["description"] not in detail
        )
        super().__init__(f"{self.reason}: {detail}{f' ({fields})' if fields else ''}")


class GatewaySettings(BaseSettings):
    """Where the gateway is and who calls it."""

    model_config = SettingsConfigDict(env_prefix="LASTMILE_", frozen=True, env_ignore_empty=True, extra="ignore")

    gateway_url: str = Field("http://127.0.0.1:8080", description="The gateway's URL")
    api_key: SecretStr | None = Field(None, description="API key to call with")
    api_key_file: Path | None = Field(None, description="File that holds the API key")
    client_timeout_s: float = Field(60, gt=0, description="Longest wait for one answer")
    client_retry_s: float = Field(120, gt=0, description="How long a request is tried again while it may succeed")
    client_first_answer_s: float = Field(10, gt=0, description="The same, of a gateway that has not answered yet")
    client_retry_wait_s_max: float = Field(2, gt=0, description="Longest wait between two tries")
    client_silence_s_max: float = Field(
        35, gt=0, description="A live stream that says nothing for so long is dead: more than two heartbeats of it"
    )
    client_connections_max: int = Field(32, gt=0, description="Connections to the gateway")

    def credential(self) -> str:
        """Return the API key; GatewayError says where it was looked for."""
        if self.api_key is not None:
            return self.api_key.get_secret_value()
        home = Path(os.environ.get("LASTMILE_HOME") or HOME_DEFAULT)
        path = self.api_key_file or home.expanduser() / "secrets" / "ops_api_key"
        try:
            return path.read_text().strip()
        except OSError as error:
            raise GatewayError(
                f"no API key: {path} cannot be read ({error.strerror}). Start the platform with `lastmile up`, or set "
                "LASTMILE_API_KEY or LASTMILE_API_KEY_FILE"
            ) from None


class Gateway:
    """An async client: every request is tried again while it may succeed, and a write keeps its idempotency key."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._token = ""
        self._answered = False
        self._http = httpx.AsyncClient(
            base_url=settings.gateway_url,
            headers={"Authorization": f"Bearer {settings.credential()}"},
            timeout=settings.client_timeout_s,
            limits=httpx.Limits(
                max_connections=settings.client_connections_max,
                max_keepalive_connections=settings.client_connections_max,
            ),
            # A proxy of the shell's has no business between this machine and its own gateway.
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Return the answer, which knows of everything that this client has written."""
        headers = {"Consistency-Token": self._token} if self._token else {}
        return await self._answer("GET", path, headers=headers, params=query)

    async def post(self, path: str, body: Mapping[str, Any], *, retry: bool = True) -> dict[str, Any]:
        """Return the answer to a command, whose effect happens once however often it is sent."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        if retry:
            return await self._answer("POST", path, headers=headers, json=body)
        return await self._once("POST", path, headers=headers, json=body)

    async def upload(self, path: str, file: Path, **query: Any) -> dict[str, Any]:
        """Return the answer to a file, which is sent once, as it is read."""
        try:
            return await self._once("POST", path, params=query, content=_pieces(file))
        except httpx.TransportError as error:
            raise self._unanswered(error) from None

    async def file(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """Return a file that is an answer to a read, or to a command that keeps nothing."""
        response = await self._patiently(self._asked, verb, path, json=body)
        return response.content

    async def download(self, path: str, file: Path, **query: Any) -> int:
        """Write an answer's bytes into a file as they come; return how many there were."""
        headers = {"Consistency-Token": self._token} if self._token else {}
        try:
            async with self._http.stream("GET", path, params=query, headers=headers) as response:
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    raise RefusedError(response.status_code, problem_of(response))
                with file.open("wb") as opened:
                    return sum([opened.write(piece) async for piece in response.aiter_bytes()])
        except httpx.TransportError as error:
            raise self._unanswered(error) from None

    async def delete(self, path: str) -> dict[str, Any]:
        """Return the answer to a command that removes something."""
        return await self._answer("DELETE", path, headers={"Idempotency-Key": str(uuid.uuid4())})

    async def pages(self, path: str, field: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """Yield every row of a list."""
        token = ""
        while True:
            page = await self.get(path, pageToken=token, **query)
            for row in page.get(field, []):
                yield row
            token = page.get("nextPageToken", "")
            if not token:
                return

    async def _answer(self, verb: str, path: str, **request: Any) -> dict[str, Any]:
        return await self._patiently(self._once, verb, path, **request)

    async def _patiently(self, ask: Callable[..., Awaitable[T]], verb: str, path: str, **request: Any) -> T:
        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_succeed),
            stop=self._out_of_patience,
            wait=wait_random_exponential(0.1, self._settings.client_retry_wait_s_max),
            reraise=True,
        )
        try:
            return await retrying(ask, verb, path, **request)
        except httpx.TransportError as error:
            raise self._unanswered(error) from None

    def _unanswered(self, error: httpx.TransportError) -> GatewayError:
        said = str(error) or type(error).__name__
        return GatewayError(
            f"{self._settings.gateway_url} does not answer ({said}). Is the platform running? `lastmile status` "
            "tells; LASTMILE_GATEWAY_URL names another gateway"
        )

    def _out_of_patience(self, call: RetryCallState) -> bool:
        # A gateway that has answered is being restarted; one that never has is more likely not there at all.
        patience_s = self._settings.client_retry_s if self._answered else self._settings.client_first_answer_s
        return (call.seconds_since_start or 0.0) >= patience_s

    async def _once(self, verb: str, path: str, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = (await self._asked(verb, path, **request)).json()
        return answer

    async def _asked(self, verb: str, path: str, **request: Any) -> httpx.Response:
        response = await self._http.request(verb, path, **request)
        self._answered = True
        if response.status_code != httpx.codes.OK:
            raise RefusedError(response.status_code, problem_of(response))
        self._token = response.headers.get("Consistency-Token", self._token)
        return response


def _may_succeed(error: BaseException) -> bool:
    return isinstance(error, httpx.TransportError) or (isinstance(error, RefusedError) and error.retryable)


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(PIECE_BYTES):
            yield piece


def problem_of(response: httpx.Response) -> Mapping[str, Any]:
    """Return a refusal's problem, or what can be said of one that is none."""
    try:
        problem: Mapping[str, Any] = response.json()
    except ValueError:
        return {"detail": response.reason_phrase}
    return problem
