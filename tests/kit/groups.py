"""`--dist loadgroup` keeps a file's `xdist_group` together.

pytest-xdist 3.8 writes the group into a name that pytest 9.2 does not read any more: every test was on its own, and the
servers that a group shares were started in each process.  Here a file's own mark is looked up."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import Scheduling

_MARK = re.compile(r"""xdist_group\(\s*(?:name=)?["']([^"']+)["']""")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    """A scheduler for loadgroup; None leaves the other ways to pytest-xdist."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    @cache
    def group(file: str) -> str:
        path = config.rootpath / file
        found = _MARK.search(path.read_text(encoding="utf-8")) if path.is_file() else None
        return found[1] if found else ""

    class ByMark(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid.partition("::")[0]) or nodeid

    return ByMark(config, log)
