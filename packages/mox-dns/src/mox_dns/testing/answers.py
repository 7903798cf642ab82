"""A resolver for property tests: whatever is asked, the answer is drawn.  Needs hypothesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from mox_dns.lookup import Answer, Mx, Question, Status, Tlsa

_HOSTS = st.sampled_from(["a.example", "b.example", ".", "_x.a.example", "no host", "a..b", "x" * 70 + ".example"])
# Records of each type as a resolver has them, hostile ones too.
RECORDS: Mapping[str, st.SearchStrategy[Any]] = {
    "A": st.ip_addresses(v=4),
    "AAAA": st.ip_addresses(v=6),
    "TXT": st.binary(max_size=60),
    "MX": st.builds(Mx, st.integers(0, 65535), _HOSTS),
    "TLSA": st.builds(Tlsa, *[st.integers(0, 255)] * 3, st.binary(max_size=40)),
}
_FAILURES = st.sampled_from([status for status in Status if status not in (Status.OK,)])


class Drawn:
    """Answers from `data` (hypothesis' st.data()); the same question gets the same answer again.

    `records` has strategies for types beside or instead of RECORDS.  Satisfies both resolver protocols."""

    def __init__(self, data: st.DataObject, records: Mapping[str, st.SearchStrategy[Any]] | None = None) -> None:
        self.asked: list[Question] = []
        self._data = data
        self._records = {**RECORDS, **(records or {})}
        self._given: dict[Question, Answer] = {}

    def ask(self, question: Question) -> Answer:
        """The answer to `question`, at once."""
        self.asked.append(question)
        if question not in self._given:
            self._given[question] = self._data.draw(self._answers(question))
        return self._given[question]

    def _answers(self, question: Question) -> st.SearchStrategy[Answer]:
        values = self._records.get(question.type, _HOSTS)
        found = st.lists(values, min_size=1, max_size=12).map(tuple)
        authentic, ttl = st.booleans(), st.integers(0, 86400)
        return st.one_of(
            st.builds(Answer, st.just(question), st.just(Status.OK), found, authentic, ttl, st.just(question.name)),
            st.builds(Answer, st.just(question), _FAILURES),
        )
