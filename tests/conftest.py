"""What all tests share: the table of the conformance suites, what hypothesis draws, files that stay on one worker."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from kit import suites
from kit.groups import pytest_xdist_make_scheduler

# Times never gate tests.  In CI what hypothesis draws is the same each time: a change is judged by itself, not by luck; on
# anybody's machine it looks further.
_ANY_SPEED = [HealthCheck.too_slow]
settings.register_profile("anywhere", deadline=None, suppress_health_check=_ANY_SPEED)
settings.register_profile("ci", deadline=None, suppress_health_check=_ANY_SPEED, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "anywhere")

__all__ = ["pytest_xdist_make_scheduler"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--suites", action="store_true", help="print a line for each conformance suite")


@pytest.fixture(autouse=True)
def _suites_of_the_test(request: pytest.FixtureRequest) -> Iterator[None]:
    suites.running = request.node.user_properties
    yield
    suites.running = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--suites"):
        return
    table: dict[str, Counter[str]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            _count(table, outcome, list(getattr(report, "user_properties", [])))
    terminalreporter.section("conformance suites")
    for name, found in sorted(table.items()):
        failed = found["failed"] + found["error"]
        terminalreporter.line(
            f"{name:<22} {found['passed']:>5} passed, {failed} failed, {found['deviations']} deviations"
            + (f", {found['skipped']} skipped" if found["skipped"] else "")
        )


def _count(table: dict[str, Counter[str]], outcome: str, properties: list[tuple[str, object]]) -> None:
    """A test counts once for each suite it has asked for, or as often as it says."""
    names = {str(value) for kind, value in properties if kind == "suite"}
    told: dict[str, tuple[int, int]] = {}
    for kind, value in properties:
        if kind == "suite cases":
            name, passed, deviations = value  # type: ignore[misc]
            before = told.get(name, (0, 0))
            told[name] = (before[0] + passed, before[1] + deviations)
    for name in names | set(told):
        row = table.setdefault(name, Counter())
        passed, deviations = told.get(name, (1, 0))
        if outcome == "passed":
            row["passed"] += passed
            row["deviations"] += deviations
        else:
            row[outcome] += 1
