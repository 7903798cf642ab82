"""The command line as a stranger reads it."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest

from moxd import cli
from moxd.cli.serve import FIRST_CONFIGURATION
from moxd.cli.tools import LIBRARIES
from moxd.tls import certificates

FAMILIES = ("serve", "localserve", "config", "account", "message", "queue", "sendmail")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(cli.run(arguments))
    out = capsys.readouterr()
    assert ended.value.code == 0, out.err
    return out.out


def test_help_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "--help")
    for name in (*FAMILIES, *LIBRARIES):
        assert re.search(rf"^    {name}\b", text, re.MULTILINE), name
    assert "moxd localserve" in text
    assert said(capsys, "--version").startswith("moxd ")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, name, "--help")
    for option in re.findall(r"^  (--[\w-]+)(?: \w+)?$", text, re.MULTILINE):
        following = text.split(f"  {option}", 1)[1].split("\n", 2)[1]
        assert following.startswith("   "), f"{name} {option} has no help"


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_libraries_help_is_theirs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Options may come first, as in any other command."""
    assert f"mox_{name}" in said(capsys, name, "--help")


def test_the_first_configuration_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `moxd serve --help` shows can be typed as it stands."""
    assert FIRST_CONFIGURATION.splitlines()[2] in said(capsys, "serve", "--help")
    for name, text in re.findall(r"^  (\w+\.toml)\n((?:    .*\n|\n(?=    ))+)", FIRST_CONFIGURATION, re.MULTILINE):
        (tmp_path / name).write_text(dedent(text))
    made = certificates.ensure(tmp_path / "tls", ["mx.example.org"], datetime.now(UTC))
    made.certificate.rename(tmp_path / "chain.pem")
    made.key.rename(tmp_path / "key.pem")
    monkeypatch.chdir(tmp_path)
    commands = [
        shlex.split(line.split("    ")[0]) for line in re.findall(r"^  moxd (.*)$", FIRST_CONFIGURATION, re.MULTILINE)
    ]
    assert len(commands) == 5
    for command in commands[:3]:
        assert cli.run(command) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "first._domainkey.example.org" in out
    assert "good (1 domains, 1 accounts)" in out


def test_a_command_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run(["sevre"])
    assert ended.value.code == 2
    assert "invalid choice: 'sevre'" in capsys.readouterr().err
