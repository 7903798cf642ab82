"""What was seen of a domain's mail, kept until its report is due.  RFC 9990 3.

    row_of        a verdict and what stands beside it -> one Row
    note          counts it in a Keeper
    due           which periods are over -> Period
    reports_of    a Period -> the reports to send, and to whom the record asks to send them
    Keeper        what remembers: five plain values; MemoryKeeper does it in this process

A report is the same however often it is made, down to its id, so that one that was interrupted can be sent again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from mox_dmarc.aggregate import (
    AggregateReport,
    DiscoveryMethod,
    Disposition,
    DkimAuth,
    Format,
    Metadata,
    Override,
    OverrideType,
    PolicyPublished,
    Row,
    SpfAuth,
    by_preference,
)
from mox_dmarc.discover import Discovery, Mode, Presence
from mox_dmarc.evaluate import Status, Verdict
from mox_dmarc.record import Record, Request
from mox_dns import Domain

DAY = 86_400
HOUR = 3_600

# Signatures and comments of one message that are remembered; a sender decides how many there are.
MAX_KEPT_SIGNATURES = 10
MAX_TEXT = 255


class Keeper(Protocol):
    """Remembers how often something was seen.  `policy` and `row` are JSON, the same text for the same thing."""

    def count(self, domain: str, begin: int, policy: str, row: str) -> bool:
        """One more of `row` in the period from `begin`; False where there is no room, and it is not counted."""

    def periods(self, before: int) -> Iterable[tuple[str, int]]:
        """Domain and begin of all periods that began before `before`."""

    def rows(self, domain: str, begin: int) -> Iterable[tuple[str, str, int]]:
        """Policy, row and count of all that was seen in a period."""

    def forget(self, domain: str, begin: int) -> None:
        """A period's report was sent, or will not be."""


class MemoryKeeper:
    """A Keeper for as long as this process lives.  `max_rows` bounds each period, `max_total` all of them."""

    def __init__(self, max_rows: int = 10_000, max_total: int = 200_000) -> None:
        self.max_rows, self.max_total = max_rows, max_total
        self._seen: dict[tuple[str, int], dict[tuple[str, str], int]] = {}
        self._total = 0

    def count(self, domain: str, begin: int, policy: str, row: str) -> bool:
        """As the Protocol says."""
        period = self._seen.get((domain, begin), {})
        key = (policy, row)
        if key not in period:
            if len(period) >= self.max_rows or self._total >= self.max_total:
                return False
            self._total += 1
        self._seen[domain, begin] = period
        period[key] = period.get(key, 0) + 1
        return True

    def periods(self, before: int) -> list[tuple[str, int]]:
        """As the Protocol says."""
        return [key for key in self._seen if key[1] < before]

    def rows(self, domain: str, begin: int) -> list[tuple[str, str, int]]:
        """As the Protocol says."""
        return [(*key, count) for key, count in self._seen.get((domain, begin), {}).items()]

    def forget(self, domain: str, begin: int) -> None:
        """As the Protocol says."""
        self._total -= len(self._seen.pop((domain, begin), {}))


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports: `domain` is the mail server's, the other fields stand in the report."""

    org_name: str
    email: str
    domain: str
    extra_contact_info: str = ""
    generator: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """One domain's time from `begin` to `end` (seconds since 1970), which is over."""

    domain: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Ready:
    """A report to send.  `discovery` has the record as it was seen: give it to `plan_destinations`."""

    report: AggregateReport
    discovery: Discovery


def row_of(
    verdict: Verdict,
    source_ip: str,
    *,
    mail_from: str | None = None,
    envelope_to: str = "",
    dkim: Iterable[DkimAuth] = (),
    spf: SpfAuth | None = None,
    disposition: Disposition | None = None,
    overrides: Sequence[Override] = (),
) -> Row:
    """One message as a row.  `mail_from` is the domain of MAIL FROM, "" for the null reverse-path.

    `disposition` is what was really done; without it, what the verdict says.  Where that is less than the policy asks,
    say why in `overrides`; the reason that t=y or pct= give is added here."""
    author = verdict.author.ascii if verdict.author is not None else ""
    aligned = [one.domain.ascii for one in verdict.aligned if one.means == "dkim"]
    given = tuple(overrides)
    if verdict.testing and disposition in (None, _disposition(verdict)):
        kind = OverrideType.POLICY_TEST_MODE if verdict.mode is Mode.RFC9989 else OverrideType.SAMPLED_OUT
        given = (Override(kind), *given)
    return Row(
        source_ip,
        1,
        _disposition(verdict) if disposition is None else disposition,
        verdict.aligned_by("dkim"),
        verdict.aligned_by("spf"),
        author,
        mail_from,
        envelope_to,
        given,
        by_preference(dkim, author, aligned)[:MAX_KEPT_SIGNATURES],
        (spf,) if spf is not None else (),
    )


def _disposition(verdict: Verdict) -> Disposition:
    """RFC 9990 3.1.1.9: "pass" where a policy that asks for something was met."""
    if verdict.status is Status.PASS:
        return Disposition.NONE if verdict.request is Request.NONE else Disposition.PASS
    return Disposition(str(verdict.disposition))


def note(keeper: Keeper, verdict: Verdict, row: Row, now: float, *, optional: bool = False, period: int = DAY) -> bool:
    """Count a message.  False where nobody asked for reports (no record, no rua=) or `keeper` has no room.

    `optional` messages are counted, but are no reason to send a report: those that are reports themselves, lest two
    servers report about each other's reports for ever."""
    if verdict.record is None or verdict.policy_domain is None or not verdict.record.rua:
        return False
    policy = json.dumps([verdict.policy_domain.ascii, str(verdict.mode), verdict.record.text], ensure_ascii=False)
    begin = int(now) // period * period
    return keeper.count(verdict.policy_domain.ascii, begin, policy, _written(row, optional))


def due(keeper: Keeper, now: float, *, period: int = DAY, spread: int = HOUR) -> list[Period]:
    """The periods that are over.  Each domain waits its own part of `spread` seconds: not all reports leave at once."""
    found = (Period(domain, begin, begin + period - 1) for domain, begin in keeper.periods(int(now) - period + 1))
    return [one for one in found if one.end + 1 + _delay(one.domain, spread) <= now]


def _delay(domain: str, spread: int) -> int:
    return int.from_bytes(hashlib.sha256(domain.encode()).digest()[:4], "big") % max(spread, 1)


def reports_of(keeper: Keeper, period: Period, reporter: Reporter) -> list[Ready]:
    """The reports about a period: one for each policy that was seen (RFC 9990 3.3), none where all is optional.

    Forget the period (`keeper.forget`) once they are on their way."""
    seen: dict[str, dict[str, int]] = {}
    for policy, row, count in keeper.rows(period.domain, period.begin):
        seen.setdefault(policy, {})[row] = count
    made = (_ready(policy, rows, period, reporter) for policy, rows in sorted(seen.items()))
    return [one for one in made if one is not None]


def _ready(policy: str, rows: dict[str, int], period: Period, reporter: Reporter) -> Ready | None:
    found, wanted = _merged(rows)
    if not wanted:
        return None
    name, mode_word, text = json.loads(policy)
    record, domain, mode = Record.parse(text), Domain(name), Mode(mode_word)
    old = mode is Mode.RFC7489
    published = PolicyPublished.of(record, name, DiscoveryMethod.PSL if old else DiscoveryMethod.TREEWALK)
    meta = Metadata(
        reporter.org_name,
        reporter.email,
        _report_id(reporter.domain, period, policy),
        period.begin,
        period.end,
        reporter.extra_contact_info,
        tuple(str(problem) for problem in record.problems),
        reporter.generator,
    )
    report = AggregateReport(meta, published, found, Format.RFC7489 if old else Format.RFC9990, "1.0")
    return Ready(report, Discovery(Presence.FOUND, domain, mode, record, domain))


def _report_id(receiver: str, period: Period, policy: str) -> str:
    """Letters and digits only, so that it can stand in the file name as well (RFC 9990 3.1.4: the same everywhere)."""
    text = f"{receiver}\n{period.domain}\n{period.begin}\n{policy}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _merged(rows: dict[str, int]) -> tuple[tuple[Row, ...], bool]:
    """Rows with their counts, those with most messages first; and whether one of them is not optional."""
    counts: dict[Row, int] = {}
    wanted = False
    for text, count in rows.items():
        row, optional = _read(text)
        counts[row] = counts.get(row, 0) + count
        wanted = wanted or not optional
    made = [replace(row, count=count) for row, count in counts.items()]
    return tuple(sorted(made, key=lambda row: (-row.count, row.source_ip, row.header_from))), wanted


def _written(row: Row, optional: bool) -> str:
    """A row without its count as JSON: a list, its optional half behind."""
    plain = [
        row.source_ip,
        str(row.disposition),
        row.dkim_aligned,
        row.spf_aligned,
        row.header_from,
        row.envelope_from,
        row.envelope_to,
        [[str(one.type), one.comment[:MAX_TEXT]] for one in row.overrides],
        [[one.domain, one.selector[:MAX_TEXT], one.result, one.human_result[:MAX_TEXT]] for one in row.dkim],
        [[one.domain, one.result, one.scope, one.human_result[:MAX_TEXT]] for one in row.spf],
    ]
    return json.dumps([plain, optional], ensure_ascii=False, separators=(",", ":"))


def _read(text: str) -> tuple[Row, bool]:
    plain: list[Any]
    plain, optional = json.loads(text)
    source_ip, disposition, dkim_aligned, spf_aligned, header_from, envelope_from, envelope_to = plain[:7]
    overrides, dkim, spf = plain[7:]
    return (
        Row(
            source_ip,
            1,
            Disposition(disposition),
            dkim_aligned,
            spf_aligned,
            header_from,
            envelope_from,
            envelope_to,
            tuple(Override(OverrideType(kind), comment) for kind, comment in overrides),
            tuple(DkimAuth(*one) for one in dkim),
            tuple(SpfAuth(*one) for one in spf),
        ),
        optional,
    )
