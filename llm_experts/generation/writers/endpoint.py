"""An endpoint that speaks OpenAI's protocol, asked patiently: faults that pass are waited for, others are explained."""

from __future__ import annotations

import email.utils
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from foundation.seeding import derive_seed
from llm_experts.data.error import DataError
from llm_experts.families.shared.draw import Draw
from llm_experts.generation.writers.cache import Reply
from llm_experts.generation.writers.meter import FREE, Price

if TYPE_CHECKING:
    import openai

URL, KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"
DEFAULT_URL = "https://api.openai.com/v1"
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before the second try, doubled for each further one, and the most of them."""
LONGEST_ASKED = 600.0
"""Seconds that an endpoint may ask one to wait."""


class EndpointError(DataError):
    """An endpoint that does not answer as it should; what was made is kept, and the same command goes on."""


@dataclass(frozen=True)
class Settings:
    """How an endpoint is asked.

    Attributes
    ----------
    model : str
    url : str
        Its base, such as ``https://host/v1``; "" takes ``OPENAI_BASE_URL``, else OpenAI's own.
    price : Price or None
        None: not known, so that only the number of requests bounds what is spent.
    temperature : float
    longest : int
        Most tokens of an answer.
    timeout : float
        Seconds that an answer may take.
    tries : int
        Requests until one is answered.
    key : str
        Name of the environment variable that holds the key.
    """

    model: str
    url: str = ""
    price: Price | None = None
    temperature: float = 1.0
    longest: int = 2048
    timeout: float = 120.0
    tries: int = 6
    key: str = KEY

    @property
    def address(self) -> str:
        """Where it is."""
        return (self.url or os.environ.get(URL, "") or DEFAULT_URL).rstrip("/")

    @property
    def cost(self) -> Price:
        """Its price; nothing where that is not known."""
        return self.price or FREE


class Endpoint:
    """One model at one address.

    Parameters
    ----------
    settings : Settings
    sleep : callable
        Waits so many seconds.
    clock : callable
        Seconds since 1970, for dates in ``Retry-After``.

    Attributes
    ----------
    lost : int
        Requests whose answer did not arrive and may have been charged all the same.

    Raises
    ------
    EndpointError
        If the package ``openai`` or the key is missing.
    """

    def __init__(
        self, settings: Settings, *, sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.time
    ) -> None:
        self.settings, self.lost = settings, 0
        self._sleep, self._clock = sleep, clock
        self._client = _client(settings)

    def ask(self, body: Mapping[str, Any], seed: int) -> Reply:
        """The reply to a request; the same seed waits equally long.

        Raises
        ------
        EndpointError
            If it refuses, answers with another model, or does not answer within its tries.
        """
        import openai

        draw, why = Draw(derive_seed(seed, "wait", self.settings.address)), ""
        for attempt in range(self.settings.tries):
            try:
                return self._reply(self._client.chat.completions.create(**body))
            except openai.APIStatusError as error:
                why = self._passing(error)
                asked = _asked_wait(error.response.headers, self._clock())
            except openai.APITimeoutError:
                why, asked = f"no answer within {self.settings.timeout:g} seconds", None
                self.lost += 1
            except (
                openai.APIConnectionError,
                openai.APIResponseValidationError,
                JSONDecodeError,
                _UnreadableError,
            ) as error:
                why, asked = f"the answer did not arrive ({_cause(error)})", None
                self.lost += 1
            if asked is not None and asked > LONGEST_ASKED:
                raise self._error(f"asks to wait {asked:.0f} seconds ({why})", "Run the same command again after that.")
            if attempt + 1 < self.settings.tries:
                self._sleep(max(_backed_off(attempt, draw), asked or 0.0))
        raise self._error(
            f"did not answer in {self.settings.tries} tries; the last time: {why}",
            "What was made is kept: run the same command again to go on.",
        )

    def _reply(self, answer: openai.types.chat.ChatCompletion) -> Reply:
        choices, usage = getattr(answer, "choices", None), getattr(answer, "usage", None)
        if not choices or usage is None or not isinstance(answer.model, str):
            raise _UnreadableError("it is no chat completion with choices and usage")
        if not same_model(self.settings.model, answer.model):
            raise self._error(
                f"answered with the model {answer.model!r}",
                f"{self.settings.model!r} was asked for: what another one writes is not taken. Name the one that "
                "the endpoint has.",
            )
        return Reply(choices[0].message.content or "", answer.model, usage.prompt_tokens, usage.completion_tokens)

    def _passing(self, error: openai.APIStatusError) -> str:
        """What is waited for; what does not pass is raised."""
        status, said = error.status_code, _clipped(error.message)
        if status in (401, 403):
            raise self._error(f"refuses the key ({status})", f"Set {self.settings.key} to a key that it accepts.")
        if status == 404:
            raise self._error(f"has no model {self.settings.model!r} (404: {said})", "Name one that it has.")
        if error.code == "insufficient_quota":
            raise self._error(f"has no money left for this key ({said})", "Pay, or set another key.")
        if status in (408, 409, 429) or status >= 500:
            return f"{status}: {said}"
        raise self._error(f"refuses the request ({status}: {said})", "Mend what it names, or choose another model.")

    def _error(self, what: str, remedy: str) -> EndpointError:
        return EndpointError(f"The endpoint {self.settings.address} {what}. {remedy}")


class _UnreadableError(Exception):
    """A body that is JSON and no chat completion."""


def same_model(asked: str, answered: str) -> bool:
    """Whether an answer's model is the one asked for: itself, with a date behind it, or without its vendor's name."""
    name = asked.rpartition("/")[2]
    return answered in (asked, name) or answered.startswith((f"{asked}-20", f"{name}-20"))


def _client(settings: Settings) -> openai.OpenAI:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise EndpointError(
            "Items from an endpoint need the package openai, which is not installed. Install it with: pip install "
            "'fairmoe[openai]' (or --group openai in a checkout)."
        ) from error
    key = os.environ.get(settings.key, "")
    if not key:
        raise EndpointError(
            f"There is no key for {settings.address}: the environment variable {settings.key} is not set. Set it; for "
            "a server of your own that asks for none, set it to any word."
        )
    return openai.OpenAI(api_key=key, base_url=settings.address, timeout=settings.timeout, max_retries=0)


def _backed_off(attempt: int, draw: Draw) -> float:
    """Seconds that double with every try, half of them drawn, so that many clients do not come back at once."""
    longest: float = min(LONGEST_WAIT, FIRST_WAIT * 2.0**attempt)
    return longest * (0.5 + 0.5 * draw.share())


def _asked_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that ``Retry-After`` asks for, as a number or a date (RFC 9110, 10.2.3); None where it does not."""
    said = headers.get("retry-after")
    if said is None:
        return None
    if said.strip().isdigit():
        return float(said)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - now)
    except ValueError:  # neither: as if nothing was said
        return None


def _cause(error: Exception) -> str:
    return _clipped(str(error.__cause__ or error)) or type(error).__name__


def _clipped(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]} …"
