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

from mox_dns.domain import plain_address

if TYPE_CHECKING:
    import asyncio  # its import takes longer than all of ours, so it is imported where it is needed

    from mox_dns.resolver import AnyBlockingResolver, AnyResolver, Resolver

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
    return ask(plain_address(ip).reverse_pointer, "PTR")


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

    `resolver`: anything with `ask(question)` that returns an Answer or an awaitable of one, or dnspython's."""
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


async def _answers(source: Resolver, questions: Questions) -> Answers:
    # All are asked before the first is waited for.
    asked = [source.ask(question) for question in questions]
    if len(asked) > 1 and any(map(inspect.iscoroutine, asked)):
        return await _side_by_side(asked)
    return tuple([answer if isinstance(answer, Answer) else await answer for answer in asked])


async def _side_by_side(asked: list[Answer | Awaitable[Answer]]) -> Answers:
    """Coroutines, as dnspython has them, begin only when somebody runs them."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:  # another loop than asyncio's: one after the other
        return tuple([answer if isinstance(answer, Answer) else await answer for answer in asked])
    waiting = iter(await asyncio.gather(*[answer for answer in asked if not isinstance(answer, Answer)]))
    return tuple([answer if isinstance(answer, Answer) else next(waiting) for answer in asked])


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


async def value(lookup: Lookup[T], resolver: AnyResolver | None = None) -> T:
    """What `lookup` returns.  `resolver` None: one for this lookup only, as /etc/resolv.conf says."""
    from mox_dns.resolver import UdpResolver, adapted

    if resolver is None:
        with UdpResolver.from_system() as own:
            return await value(lookup, own)
    source = adapted(resolver)
    try:
        questions = next(lookup)
        while True:
            questions = lookup.send(await _answers(source, questions))
    except StopIteration as stop:
        result: T = stop.value
        return result


def value_blocking(lookup: Lookup[T], resolver: AnyBlockingResolver | None = None) -> T:
    """As `value`, without a loop."""
    ask = getattr(resolver, "ask", None)
    if ask is None:
        from mox_dns.resolver import BlockingUdpResolver, adapted_blocking

        ask = (BlockingUdpResolver.from_system() if resolver is None else adapted_blocking(resolver)).ask
    try:
        questions = next(lookup)
        while True:
            questions = lookup.send(tuple([ask(question) for question in questions]))
    except StopIteration as stop:
        result: T = stop.value
        return result


async def run_together(lookups: Sequence[Lookup[T]], resolver: AnyResolver) -> list[Traced[T]]:
    """Drives several lookups side by side without a task for each; results in their order.

    Each goes on as soon as its own answers are there.  Needs asyncio.  An exception out of one ends all."""
    import asyncio

    from mox_dns.resolver import adapted

    together = _Together(adapted(resolver))
    running = [_Running(lookup, together) for lookup in lookups]
    try:
        for one in running:
            one.advance(None)
        if together.open:
            together.done = asyncio.get_running_loop().create_future()
            await together.done
    finally:
        if together.open:
            for one in running:
                one.abandon()
    return [one.result for one in running if one.result is not None]


class _Together:
    """What lookups driven side by side share."""

    __slots__ = ("done", "open", "source")

    def __init__(self, source: Resolver) -> None:
        self.source = source
        self.open = 0
        self.done: asyncio.Future[None] | None = None


class _Running(Generic[T]):
    """A lookup on its way: which questions are open, what was answered."""

    __slots__ = ("asked", "lookup", "missing", "questions", "result", "steps", "together")

    def __init__(self, lookup: Lookup[T], together: _Together) -> None:
        self.lookup, self.together = lookup, together
        self.steps: list[Step] = []
        self.questions: Questions = ()
        self.asked: list[Answer | asyncio.Future[Answer]] = []
        self.missing = 0
        self.result: Traced[T] | None = None
        together.open += 1

    def advance(self, answers: Answers | None) -> None:
        """Sends answers, asks what comes next; goes on at once while nothing need be waited for."""
        from asyncio import ensure_future

        while True:
            try:
                if answers is None:
                    self.questions = next(self.lookup)
                else:
                    self.steps.extend(map(Step, self.questions, answers))
                    self.questions = self.lookup.send(answers)
            except StopIteration as stop:
                self.result = Traced(stop.value, tuple(self.steps))
                self.together.open -= 1
                return
            asked = [self.together.source.ask(question) for question in self.questions]
            self.asked = [a if isinstance(a, Answer) else ensure_future(a) for a in asked]
            self.missing = 0
            for answer in self.asked:
                if not isinstance(answer, Answer):
                    self.missing += 1
                    answer.add_done_callback(self._arrived)
            if self.missing:
                return
            answers = self._answers()

    def _answers(self) -> Answers:
        return tuple([answer if isinstance(answer, Answer) else answer.result() for answer in self.asked])

    def _arrived(self, _: asyncio.Future[Answer]) -> None:
        self.missing -= 1
        done = self.together.done
        if self.missing or done is None or done.done():
            return
        try:
            self.advance(self._answers())
        except BaseException as error:
            # Out of a callback it would only be logged; whoever waits must hear of it.
            done.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
            return
        if not self.together.open:
            done.set_result(None)

    def abandon(self) -> None:
        """Nobody waits any more."""
        for answer in self.asked:
            if not isinstance(answer, Answer):
                answer.cancel()
        self.lookup.close()
