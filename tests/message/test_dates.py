from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_message import date


def at(*parts: int, minutes: int = 0) -> datetime:
    year, month, day, hour, minute, second = parts
    return datetime(year, month, day, hour, minute, second, tzinfo=timezone(timedelta(minutes=minutes)))


DATES = {
    "Fri, 21 Nov 1997 09:55:06 -0600": at(1997, 11, 21, 9, 55, 6, minutes=-360),
    "1 Jan 2024 00:00 +0530": at(2024, 1, 1, 0, 0, 0, minutes=330),
    "Thu, 13 Feb 1969 23:32 -0330 (Newfoundland Time)": at(1969, 2, 13, 23, 32, 0, minutes=-210),
    "21 Nov 97 09:55:06 GMT": at(1997, 11, 21, 9, 55, 6),
    "21 Nov 49 09:55:06 EST": at(2049, 11, 21, 9, 55, 6, minutes=-300),
    "21 Nov 101 09:55:06 Z": at(2001, 11, 21, 9, 55, 6),
    "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600": at(1997, 11, 21, 9, 55, 6, minutes=-360),
    "Sat, 31 Dec 2016 23:59:60 +0000": at(2016, 12, 31, 23, 59, 59),
    "Fri Nov 21 09:55:06 1997": at(1997, 11, 21, 9, 55, 6),
    "Fri Nov 21 09:55:06 PST 1997": at(1997, 11, 21, 9, 55, 6, minutes=-480),
    "21 Nov 1997 09:55:06": at(1997, 11, 21, 9, 55, 6),
    "Fri, 21-Nov-1997 09:55:06 UTC": at(1997, 11, 21, 9, 55, 6),
    "Fri, 21 November 1997 9.55.06 +0100": at(1997, 11, 21, 9, 55, 6, minutes=60),
}


@pytest.mark.parametrize("text, wanted", DATES.items(), ids=DATES)
def test_read(text: str, wanted: datetime) -> None:
    found = date(text)
    assert found == wanted
    assert found.utcoffset() == wanted.utcoffset()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "31 Feb 2024 00:00 +0000",
        "1 Foo 2024 00:00 +0000",
        "1 Jan 2024 25:00 +0000",
        "1 Jan 2024",
        "x" * 600,
        "1 Jan 2024 00:00 +9999",
        "0 Jan 2024 00:00 +0000",
        "Fri Foo 21 09:55:06 1997",
    ],
)
def test_no_date(text: str) -> None:
    assert date(text) is None


@given(st.text("0123456789 JanFebMon,:+-()GMT.", max_size=60))
def test_any_text(text: str) -> None:
    found = date(text)
    assert found is None or found.tzinfo is not None


@given(st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC)))
def test_strftime(moment: datetime) -> None:
    assert date(moment.strftime("%a, %d %b %Y %H:%M:%S %z")) == moment.replace(microsecond=0)
