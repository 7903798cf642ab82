"""Date-times of mail (RFC 5322 3.3, 4.3) as moments, and what other programs make of them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from mox_message.words import without_comments

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
# Minutes (RFC 5322 4.3); every other name is as good as +0000.
_ZONES = {"edt": -240, "est": -300, "cdt": -300, "cst": -360, "mdt": -360, "mst": -420, "pdt": -420, "pst": -480}
_MAX_DATE = 500
# Of texts whose white space is single spaces.
_TIME = r"(\d{1,2}) ?[:.] ?(\d{2})(?: ?[:.] ?(\d{2}))?(?:[.,]\d{1,9})?"
_ZONE = r"(?:([+-])(\d{2}):?(\d{2})|([A-Za-z]{1,5}))"
_DATE = re.compile(
    rf"(?:[A-Za-z]{{2,12}}\.? ?,? ?)?(\d{{1,2}})[ -]+([A-Za-z]{{3}})[A-Za-z]*\.?[ -]+(\d{{2,4}})(?!\d) ?,? "
    rf"{_TIME} ?{_ZONE}?",
    re.ASCII,
)
# As C's asctime writes it, which some programs copy.
_ASCTIME = re.compile(
    rf"[A-Za-z]{{3,9}},? ([A-Za-z]{{3}})[A-Za-z]* (\d{{1,2}}) ?,? {_TIME} (?:{_ZONE} )?(\d{{4}})(?!\d)(?: {_ZONE})?",
    re.ASCII,
)


def date(text: str) -> datetime | None:
    """The moment of a date-time (RFC 5322 3.3, 4.3), aware; None when it cannot be understood."""
    if len(text) > _MAX_DATE:
        return None
    if "(" in text:
        text = without_comments(text)
    text = " ".join(text.split())
    match = _DATE.match(text)
    if match is not None:
        day, month, year, hour, minute, second, sign, zone_hour, zone_minute, zone = match.groups()
        return _moment(year, month, day, (hour, minute, second), _offset(sign, zone_hour, zone_minute, zone))
    match = _ASCTIME.match(text)
    if match is None:
        return None
    month, day, hour, minute, second, *early, year, sign, zone_hour, zone_minute, zone = match.groups()
    offset = _offset(*early) if early[0] or early[3] else _offset(sign, zone_hour, zone_minute, zone)
    return _moment(year, month, day, (hour, minute, second), offset)


def _offset(sign: str | None, hours: str | None, minutes: str | None, name: str | None) -> int:
    if sign:
        return (int(hours or 0) * 60 + int(minutes or 0)) * (1 if sign == "+" else -1)
    return _ZONES.get(name.lower(), 0) if name else 0


def _moment(year: str, month: str, day: str, time: tuple[str, str, str | None], offset: int) -> datetime | None:
    full_year = int(year)
    if len(year) == 2:  # RFC 5322 4.3
        full_year += 2000 if full_year < 50 else 1900
    elif len(year) == 3:
        full_year += 1900
    number = _MONTHS.get(month.lower())
    if number is None:
        return None
    hour, minute, second = time
    try:
        zone = timezone(timedelta(minutes=offset))
        # A leap second is taken as the one before.
        return datetime(full_year, number, int(day), int(hour), int(minute), min(int(second or 0), 59), tzinfo=zone)
    except (ValueError, OverflowError):
        return None
