"""Questions for DNS without I/O: a lookup is a generator that yields questions and is sent the answers.

It always yields a tuple, whose questions are asked side by side, and is sent the tuple of their answers.  Who drives it
decides how the questions are asked: `run` waits, `run_blocking` blocks, a test answers from a table."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from mox_dns.resolver import AnyBlockingResolver, AnyResolver

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """A name (ASCII, no final dot) and a record type in capitals."""

    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.name} {self.type}"


class Status(StrEnum):
    """How a question was answered."""

    OK = "ok"
    NODATA = "nodata"  # the name exists, but has no record of this type
    NXDOMAIN = "nxdomain"  # the name does not exist
    SERVFAIL = "servfail"  # the servers could not answer, or refused
    TIMEOUT = "timeout"
    BOGUS = "bogus"  # DNSSEC says that the answer is forged
    MALFORMED = "malformed"  # no such name can exist, or the answer made no sense


@dataclass(frozen=True, slots=True)
class Mx:
    """An MX record (RFC 1035 3.3.9); `host` is "." for a null MX (RFC 7505)."""

    preference: int
    host: str

    def __str__(self) -> str:
        return f"{self.preference} {self.host}"


@dataclass(frozen=True, slots=True)
class Tlsa:
    """A TLSA record (RFC 6698 2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"


Record: TypeAlias = bytes | str | IPv4Address | IPv6Address | Mx | Tlsa


@dataclass(frozen=True, slots=True)
class Answer:
    """What DNS said.  `records` are typed by the question: TXT bytes, A/AAAA addresses, MX Mx, TLSA Tlsa, else names.

    `authentic`: a resolver that we trust has validated it with DNSSEC.  `canonical`: the name that the records stand
    at, behind CNAMEs."""

    question: Question
    status: Status
    records: tuple[Any, ...] = ()
    authentic: bool = False
    ttl: int = 0
    canonical: str = ""
    detail: str = ""

    @property
    def found(self) -> bool:
        """There are records."""
        return self.status is Status.OK and bool(self.records)

    @property
    def absent(self) -> bool:
        """DNS says that there is no such record (a void lookup)."""
        return self.status in (Status.NODATA, Status.NXDOMAIN)

    @property
    def failed(self) -> bool:
        """Nothing is known; asking later may help."""
        return not (self.found or self.absent)


Questions: TypeAlias = tuple[Question, ...]
Answers: TypeAlias = tuple[Answer, ...]
Lookup: TypeAlias = Generator[Questions, Answers, T]


def ask(name: str, type: str) -> Lookup[Answer]:
    """One question."""
    (answer,) = yield (Question(name, type),)
    return answer


def ask_all(*questions: Question) -> Lookup[Answers]:
    """Several questions, side by side; answers in their order."""
    return (yield questions)


def txt(name: str) -> Lookup[Answer]:
    """TXT records, each the bytes of its joined strings."""
    return ask(name, "TXT")


def mx(name: str) -> Lookup[Answer]:
    """MX records as Mx."""
    return ask(name, "MX")


def tlsa(name: str) -> Lookup[Answer]:
    """TLSA records as Tlsa."""
    return ask(name, "TLSA")


def ptr(ip: IPv4Address | IPv6Address) -> Lookup[Answer]:
    """The names of an address, as texts without final dot."""
    return ask(ip.reverse_pointer, "PTR")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Both address families of a name."""

    v4: Answer
    v6: Answer

    @property
    def all(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """Every address, IPv6 first."""
        return (*self.v6.records, *self.v4.records)

    @property
    def found(self) -> bool:
        """There is an address."""
        return self.v4.found or self.v6.found

    @property
    def failed(self) -> bool:
        """No address is known, and at least one question failed."""
        return not self.found and (self.v4.failed or self.v6.failed)

    @property
    def authentic(self) -> bool:
        """DNSSEC vouches for both answers."""
        return self.v4.authentic and self.v6.authentic


def addresses(name: str) -> Lookup[Addresses]:
    """A and AAAA of a name, side by side."""
    v4, v6 = yield (Question(name, "A"), Question(name, "AAAA"))
    return Addresses(v4, v6)


@dataclass(frozen=True, slots=True)
class Step:
    """A question and its answer, as they happened."""

    question: Question
    answer: Answer

    def __str__(self) -> str:
        answer = self.answer
        shown = ", ".join(map(str, answer.records)) if answer.found else answer.status.value
        return f"{self.question} -> {shown}{' (authentic)' if answer.authentic else ''}"


@dataclass(frozen=True, slots=True)
class Traced(Generic[T]):
    """What a lookup returned, and every question it asked in order."""

    value: T
    steps: tuple[Step, ...]


async def run(lookup: Lookup[T], resolver: AnyResolver) -> Traced[T]:
    """Drives `lookup` to its end, asking the questions of each round side by side.

    `resolver`: anything with `ask(question)` that returns an Answer or an awaitable of one, or a resolver of dnspython."""
    from mox_dns.resolver import adapted

    source = adapted(resolver)
    steps: list[Step] = []
    try:
        questions = next(lookup)
        while True:
            answers = await _answers(source, questions)
            steps.extend(map(Step, questions, answers))
            questions = lookup.send(answers)
    except StopIteration as stop:
        return Traced(stop.value, tuple(steps))


async def _answers(source: Any, questions: Questions) -> Answers:
    # All are asked before the first is waited for.
    asked = [source.ask(question) for question in questions]
    return tuple([answer if isinstance(answer, Answer) else await answer for answer in asked])


def run_blocking(lookup: Lookup[T], resolver: AnyBlockingResolver) -> Traced[T]:
    """Drives `lookup` to its end without a loop.

    `resolver`: anything with `ask(question)` that returns an Answer, or a blocking resolver of dnspython."""
    from mox_dns.resolver import adapted_blocking

    source = adapted_blocking(resolver)
    steps: list[Step] = []
    try:
        questions = next(lookup)
        while True:
            answers = tuple([source.ask(question) for question in questions])
            steps.extend(map(Step, questions, answers))
            questions = lookup.send(answers)
    except StopIteration as stop:
        return Traced(stop.value, tuple(steps))


class _Running(Generic[T]):
    """A lookup on its way: which questions are open, what was answered."""

    __slots__ = ("lookup", "questions", "result", "steps", "waiting")

    def __init__(self, lookup: Lookup[T]) -> None:
        self.lookup = lookup
        self.steps: list[Step] = []
        self.questions: Questions = ()
        self.waiting: list[Answer | Awaitable[Answer]] = []
        self.result: Traced[T] | None = None


async def run_together(lookups: Sequence[Lookup[Any]], resolver: AnyResolver) -> list[Traced[Any]]:
    """Drives several lookups side by side without a task for each; results in their order.

    Each goes on as soon as its own answers are there: they are all asked first, and whichever comes first only
    lets its own lookup ask again."""
    from mox_dns.resolver import adapted

    source = adapted(resolver)
    running = [_Running(lookup) for lookup in lookups]
    for one in running:
        _advance(one, None, source)
    open_ = [one for one in running if one.result is None]
    while open_:
        for one in open_:
            answers = tuple([a if isinstance(a, Answer) else await a for a in one.waiting])
            _advance(one, answers, source)
        open_ = [one for one in open_ if one.result is None]
    return [one.result for one in running if one.result is not None]


def _advance(one: _Running[Any], answers: Answers | None, source: Any) -> None:
    """Sends answers, asks what comes next; goes on at once while everything is known without waiting."""
    while True:
        try:
            if answers is None:
                one.questions = next(one.lookup)
            else:
                one.steps.extend(map(Step, one.questions, answers))
                one.questions = one.lookup.send(answers)
        except StopIteration as stop:
            one.result = Traced(stop.value, tuple(one.steps))
            return
        one.waiting = [source.ask(question) for question in one.questions]
        if any(not isinstance(answer, Answer) for answer in one.waiting):
            return
        answers = tuple(one.waiting)  # type: ignore[arg-type]  # all are Answers, just checked


def is_awaitable(value: object) -> bool:
    """For resolvers whose `ask` may answer at once."""
    return inspect.isawaitable(value)
