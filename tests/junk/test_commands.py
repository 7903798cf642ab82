from __future__ import annotations

import doctest
import io
import json
from pathlib import Path

import pytest

from mox_junk.__main__ import USAGE, main

README = Path(__file__).resolve().parents[2] / "packages" / "mox-junk" / "README.md"


def test_examples_of_the_readme() -> None:
    failed, tried = doctest.testfile(str(README), module_relative=False)
    assert tried >= 4
    assert not failed


@pytest.mark.parametrize(
    "arguments, status, shown",
    [
        (["judge", "--spf", "pass"], 0, "accept: no bad signals\n"),
        (["judge", "--spf", "fail", "--iprev", "pass"], 1, "junk: SPF fail and nothing speaks for it\n"),
        (["judge", "--dmarc", "fail", "--dmarc-disposition", "reject"], 2, "refuse: DMARC policy reject\n"),
    ],
)
def test_status_says_what_was_decided(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, shown: str
) -> None:
    assert main(arguments) == status
    assert capsys.readouterr().out == shown


def test_json_both_ways(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"spf": "fail", "dkim_domains": ["a.example"], "iprev": "pass"}'))
    assert main(["judge", "--stdin", "--json"]) == 0
    assert [step["outcome"] for step in json.loads(capsys.readouterr().out)["steps"]] == [
        "go on",
        "go on",
        "go on",
        "accept",
    ]


@pytest.mark.parametrize(
    "text, why",
    [
        ("[]", "signals are a JSON object"),
        ("{", "Expecting property name"),
        ('{"spv": "pass"}', "no signal is named 'spv'"),
        ('{"tls": "yes"}', "tls is a bool"),
        ('{"dkim_domains": "a.example"}', "dkim_domains is a list"),
        ("[" * 100_000, "maximum recursion"),
    ],
)
def test_wrong_signals_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["judge", "--stdin"]) == USAGE
    assert why in capsys.readouterr().err
