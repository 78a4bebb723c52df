"""A conversation in a terminal: what was said, which experts answer, and commands that begin with a slash."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unicodedata import category

from foundation.escaping import printable as escaped
from llm_experts.bases.identify import NANO
from llm_experts.data.example import Message
from llm_experts.runtime.sampling import Sampling
from serving.error import ServingError
from serving.naming import experts_of
from serving.request import AUTO, Experts, Request

if TYPE_CHECKING:
    from serving.answer import Answer
    from serving.catalogue import ExpertInfo
    from serving.engine import ExpertEngine
    from serving.ticket import Ticket

LINE = 79
HARMLESS = "\n\t\u200c\u200d"
"""Not printable to Python, but text: line ends, tabs, and the joiners of Persian, Hindi and emoji."""
HELP = (
    "/experts auto | base | a,b | a=0.7,b=0.3   who answers from now on\n"
    "/list                                      experts that can be named\n"
    "/reset                                     forget what was said\n"
    "/debug                                     show or hide route and times\n"
    "/quit                                      end; so does Ctrl-D\n"
    "Ctrl-C stops an answer."
)


def experts_named(text: str) -> Experts:
    """``auto``, ``base``, names, or names with weights.

    Examples
    --------
    >>> experts_named("a=0.7,b")
    {'a': 0.7, 'b': 1.0}
    """
    return experts_of(text.strip(), None, "base")


def shown(experts: Experts) -> str:
    """The inverse, for people."""
    if experts is None or isinstance(experts, str):
        return experts or "base"
    return ", ".join(name if weight == 1 else f"{name}={weight:g}" for name, weight in experts.items())


@dataclass
class Session:
    """A conversation.

    Attributes
    ----------
    engine : ExpertEngine
    experts : mapping, "auto" or None
        Who answers; None is the base.
    sampling : Sampling
    left_open : frozenset of str
        Settings that the packages of whoever answers decide.
    system : str
        What stands ahead of every conversation.
    debug : bool
        Whether route and times are shown.
    said : list of Message
        Turns so far.
    """

    engine: ExpertEngine
    experts: Experts = AUTO
    sampling: Sampling = field(default_factory=Sampling)
    system: str = ""
    debug: bool = False
    said: list[Message] = field(default_factory=list)
    left_open: frozenset[str] = frozenset()

    def ask(self, text: str) -> Ticket:
        """Ask the engine, with all that was said before.

        Raises
        ------
        ServingError
            If the request is refused; nothing is remembered of it.
        """
        head = [Message("system", self.system)] if self.system else []
        turns = (*head, *self.said, Message("user", text))
        request = Request(messages=turns, experts=self.experts, sampling=self.sampling, left_open=self.left_open)
        return self.engine.submit(request)

    def remember(self, text: str, reply: str) -> None:
        """Keep a turn of both sides."""
        self.said += [Message("user", text), Message("assistant", reply)]

    def command(self, line: str) -> str | None:
        """Do what a line with a slash says; None when the conversation ends.

        Raises
        ------
        ServingError
            ``bad-request``, ``unknown-expert``: what was meant is not known.
        """
        word, _, rest = line[1:].strip().partition(" ")
        if word in ("quit", "exit", "q"):
            return None
        known: dict[str, Callable[[str], str]] = {
            "experts": self._experts, "reset": self._reset, "debug": self._debug, "list": self._list,
            "help": lambda _: HELP,
        }  # fmt: skip
        if word not in known:
            raise ServingError("bad-request", f"There is no /{word}; there are /{', /'.join(known)} and /quit.")
        return known[word](rest)

    def _experts(self, rest: str) -> str:
        if rest:
            asked = experts_named(rest)
            self.engine.check_text(asked)
            self.experts = asked
        return f"Experts: {shown(self.experts)}"

    def _reset(self, _: str) -> str:
        self.said.clear()
        return "Nothing has been said."

    def _debug(self, _: str) -> str:
        self.debug = not self.debug
        return f"Route and times are {'shown' if self.debug else 'hidden'}."

    def _list(self, _: str) -> str:
        infos = [info for info in self.engine.models() if info.kind != "rows"]
        width = max(len(info.name) for info in infos)
        room = max(LINE - width - 2, LINE // 3)
        return "\n".join(f"{info.name:<{width}}  {clipped(info.description, room)}".rstrip() for info in infos)


def clipped(text: str, room: int) -> str:
    """A text on one line of ``room`` characters at most."""
    plain = " ".join(text.split())
    return plain if len(plain) <= room else f"{plain[: room - 1]}…"


def untrusted(experts: Iterable[ExpertInfo], names: Collection[str] | None) -> list[str]:
    """A line for each of these that nobody vouches for; of all that answer text if none is named."""
    return [
        f"NOT TRUSTED: {info.name} {info.version} is {info.trust}."
        for info in experts
        if info.trust not in ("", "trusted") and (info.kind == "adapter" if names is None else info.name in names)
    ]


def hints(engine: ExpertEngine) -> list[str]:
    """What somebody should know who asks this engine for the first time: who is missing, and what nano is."""
    infos = engine.models()
    told = []
    if not any(info.kind == "adapter" for info in infos):
        told.append("No expert is installed for this base. Next: fairmoe install FILE")
    if infos[0].base == NANO:
        told.append("nano knows tables alone and cannot converse; --base names a model that can.")
    return told


def cut(answer: Answer, sampling: Sampling, left_open: Collection[str] = ()) -> str | None:
    """Why an answer ends in the middle of a sentence; None if it ended by itself.

    Parameters
    ----------
    answer : Answer
    sampling : Sampling
        As asked for.
    left_open : collection of str
        Settings that packages of the experts decide; their limit may be below that of ``sampling``.
    """
    if answer.finish != "length":
        return None
    length = answer.usage.completion_tokens
    if length < sampling.max_new_tokens and answer.experts and "max_new_tokens" in left_open:
        return f"(cut after {length} tokens: its package's limit, or the base's context; --max-tokens)"
    if length < sampling.max_new_tokens:
        return f"(cut after {length} tokens: the base's context is full)"
    return f"(cut after {length} tokens: --max-tokens)"


def printable(text: str) -> str:
    """Text of a model as a terminal may get it: what would act upon it is shown; spaces and joined letters are text."""
    return escaped(text, keep="".join(c for c in set(text) if c in HARMLESS or category(c) == "Zs"))


def facts(answer: Answer) -> Iterator[str]:
    """Lines about an answer: experts, why, what the router saw, times and tokens."""
    yield f"experts  {shown(dict(answer.experts) or None)}"
    yield f"why      {answer.why}"
    if answer.route is not None:
        likely = sorted(answer.route.posterior.items(), key=lambda pair: -pair[1])[:5]
        yield f"policy   {answer.route.policy}"
        yield "posterior " + " · ".join(f"{name} {probability:.2f}" for name, probability in likely)
    times = {phase: f"{seconds * 1e3:.1f}" for phase, seconds in answer.latency.items()}
    yield "ms       " + " · ".join(f"{phase} {taken}" for phase, taken in times.items() if phase != "total")
    usage, decode = answer.usage, answer.latency.get("decode", 0.0)
    rate = f" ({usage.completion_tokens / decode:.0f} a second)" if decode else ""
    yield f"total    {times.get('total')} ms; {answer.finish}"
    yield f"tokens   {usage.prompt_tokens} in, {usage.completion_tokens} out{rate}"
