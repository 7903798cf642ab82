from __future__ import annotations

import pytest

from moxd.magic import Trouble, trouble

CASES = {
    "temperror": Trouble("data", 451),
    "permerror": Trouble("data", 550),
    "452": Trouble("data", 452),
    "550": Trouble("data", 550),
    "rcptto550": Trouble("rcptto", 550),
    "RcptToTempError": Trouble("rcptto", 451),
    "mailfrompermerror": Trouble("mailfrom", 550),
    "timeout": Trouble("data", None),
    "mailfromtimeout": Trouble("mailfrom", None),
    "250": None,
    "650": None,
    "4520": None,
    "mox": None,
    "temperror2": None,
    "": None,
}


@pytest.mark.parametrize("localpart, want", CASES.items(), ids=CASES)
def test_magic_localparts(localpart: str, want: Trouble | None) -> None:
    assert trouble(localpart) == want
