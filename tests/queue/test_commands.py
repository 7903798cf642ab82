from __future__ import annotations

import doctest
import json
from pathlib import Path

import pytest

from kit.queue_world import LATER, World, always, message
from kit.virtual_time import run_virtual
from mox_queue.__main__ import duration, main

README = Path(__file__).resolve().parents[2] / "packages" / "mox-queue" / "README.md"


def test_examples_of_the_readme() -> None:
    failed, tried = doctest.testfile(str(README), module_relative=False)
    assert tried >= 10
    assert not failed


@pytest.mark.parametrize("text, seconds", [("90m", 5400), ("1.5h", 5400), ("5d", 432000), ("30s", 30)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1w", "1e3h"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        duration(text)


def test_the_schedule_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", "show", "--waits", "1h", "--give-up-after", "3h", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["attempts"] == [0.0, 3600.0, 7200.0, 10800.0]


@pytest.mark.parametrize(
    "down, status, shown",
    [
        ("0s", 0, "delivered after 0.00 h, at attempt 1; nobody heard of the delay"),
        ("5h", 0, "delivered after 7.88 h, at attempt 7; nobody heard of the delay"),
        ("9h", 0, "delivered after 15.88 h, at attempt 8; the sender heard of the delay"),
        ("6d", 1, "given up after 21 attempts"),
    ],
)
def test_simulated(capsys: pytest.CaptureFixture[str], down: str, status: int, shown: str) -> None:
    assert main(["schedule", "simulate", "--down", down]) == status
    assert capsys.readouterr().out.strip() == shown


def test_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", str(tmp_path)]) == 2
    assert "there is no queue" in capsys.readouterr().err
    world = World(tmp_path, always(LATER))

    async def life() -> None:
        await world.queue.add(message(1, "a@x.example"))
        await world.run(5)

    run_virtual(life())
    world.close()
    assert main(["list", str(tmp_path)]) == 0
    assert "<you@here.example> -> <a@x.example>  451 4.3.0 later" in capsys.readouterr().out
    assert main(["list", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["state"] == "waiting"
