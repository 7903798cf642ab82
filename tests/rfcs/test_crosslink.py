"""docs/rfcs/crosslink.py: what status.toml claims has code and a test."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "docs" / "rfcs" / "crosslink.py"


@pytest.fixture(name="crosslink", scope="module")
def _crosslink() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crosslink", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["crosslink"] = module
    spec.loader.exec_module(module)
    return module


def test_no_claim_of_this_project_is_broken() -> None:
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# The program looks at these lines as well, so the numbers are of no RFC.
R = "RFC"
MENTIONS = {
    "alone": (f"# {R} 99991: x", [(99991, "")]),
    "a section": (f"# {R} 99991 4.6.4: x", [(99991, "4.6.4")]),
    "an appendix": (f"# {R} 99991 A.3.", [(99991, "A.3")]),
    "a sentence's end": (f"# {R} 99991 5.", [(99991, "5")]),
    "two": (f"# {R} 99991 4.6.4 and 11.1.", [(99991, "4.6.4"), (99991, "11.1")]),
    "several": (f"# {R} 99991 4.5, 6 and 7.3, 2", [(99991, section) for section in ("4.5", "6", "7.3", "2")]),
    "a stretch": (f"# {R} 99991 5.2 to 5.5", [(99991, f"5.{n}") for n in (2, 3, 4, 5)]),
    "a stretch of chapters": (f"# {R} 99991 4 to 6", [(99991, section) for section in "456"]),
    "a count of something": (f"# {R} 99991 2.1 and 30 of them", [(99991, "2.1"), (99991, "30")]),
    "two RFCs": (f"# {R} 99991 1 and {R} 99992 2", [(99991, "1"), (99992, "2")]),
    "in a docstring": (f'"""What.\n\n{R} 99991 3."""', [(99991, "3")]),
    "folded": (f"# of {R}\n# 99991 3.1,\n# 3.2", [(99991, "3.1"), (99991, "3.2")]),
    "not in code": ("RFC = 99991", []),
    "not of a word": (f"# X{R} 99991", []),
}


@pytest.mark.parametrize("text, wanted", MENTIONS.values(), ids=MENTIONS)
def test_mentions(crosslink: ModuleType, tmp_path: Path, text: str, wanted: list[tuple[int, str]]) -> None:
    (tmp_path / "x.py").write_text(text + "\n")
    found = list(crosslink.mentions(tmp_path / "x.py", tmp_path))
    assert [(mention.rfc, mention.section) for mention in found] == wanted


def test_the_line_is_told(crosslink: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text(f'"""One\n\ntwo {R} 99991 1\n"""\n\n# three\n# {R} 99991 2\nx = 1\n')
    found = list(crosslink.mentions(tmp_path / "x.py", tmp_path))
    assert [mention.line for mention in found] == [3, 7]


def tree(folder: Path, code: str, test: str) -> None:
    for path, text in (("packages/mox-x/src/mox_x/a.py", code), ("tests/x/test_a.py", test)):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)


STATUS = """
[mox-x.rfc99991]
title = "X"
status = "yes"
[mox-x.rfc99991.sections]
"4.6" = "yes this"
"5" = "partly that"
"6" = "planned some day"
"7" = "no never"
"""


@pytest.mark.parametrize(
    "code, test, broken",
    [
        ("4.6.4 and 5", "4.6 and 5.1", []),
        ("4.6", "4.6 and 5", ["5: partly, but no code names it"]),
        ("4.6 and 5", "4.6", ["5: partly, but no test names it"]),
        ("5", "5", ["4.6: yes, but no code and no test names it"]),
        ("4.60 and 5", "4.6 and 5", ["4.6: yes, but no code names it"]),
    ],
)
def test_claims(crosslink: ModuleType, tmp_path: Path, code: str, test: str, broken: list[str]) -> None:
    tree(tmp_path, f"# {R} 99991 {code}\n", f"# {R} 99991 {test}\n")
    claims = crosslink.read_status(STATUS)
    links = crosslink.linked(claims, crosslink.Sources.read(tmp_path))
    assert [link.broken for link in links if link.broken] == [f"mox-x: RFC 99991 {line}" for line in broken]


def test_what_no_row_has(crosslink: ModuleType, tmp_path: Path) -> None:
    tree(tmp_path, f"# {R} 99991 4.6.1, 8 and {R} 99992 3\n", "")
    found = crosslink.unclaimed(crosslink.read_status(STATUS), crosslink.Sources.read(tmp_path))
    assert [(mention.rfc, mention.section) for _, mention in found] == [(99991, "8"), (99992, "3")]


WRONG: dict[str, tuple[str, str]] = {
    "another word": ('[mox-x.rfc1]\ntitle = "X"\nstatus = "done"', "write one of"),
    "no title": ('[mox-x.rfc123]\nstatus = "yes"', "write one of"),
    "no number": ('[mox-x.smtp]\nstatus = "yes"', "rfc1234"),
    "no section": (
        '[mox-x.rfc123]\ntitle = "X"\nstatus = "yes"\n[mox-x.rfc123.sections]\n"4.x" = "yes a"',
        "no section",
    ),
    "nothing said": (
        '[mox-x.rfc123]\ntitle = "X"\nstatus = "yes"\n[mox-x.rfc123.sections]\n"4" = "yes"',
        "write one of",
    ),
}


@pytest.mark.parametrize("text, why", WRONG.values(), ids=WRONG)
def test_rows_that_are_none(crosslink: ModuleType, text: str, why: str) -> None:
    text = text.replace("rfc1]", "rfc123]")
    with pytest.raises(crosslink.StatusError, match=why):
        crosslink.read_status(text)


def test_a_package_that_is_not_there(crosslink: ModuleType, tmp_path: Path) -> None:
    tree(tmp_path, "", "")
    claims = crosslink.read_status(STATUS.replace("mox-x", "mox-y"))
    with pytest.raises(crosslink.StatusError, match="mox-y"):
        crosslink.linked(claims, crosslink.Sources.read(tmp_path))


def test_as_a_program(crosslink: ModuleType, capsys: Any) -> None:
    assert crosslink.main(["--package", "mox-spf", "--map", "7208"]) == 0
    assert "packages/mox-spf/src/mox_spf/check.py:" in capsys.readouterr().out
    assert crosslink.main(["--package", "mox-spf", "--json"]) == 0
    assert '"rfc": 7208' in capsys.readouterr().out
    assert crosslink.main(["--unclaimed", "--package", "mox-spf"]) == 0
