"""SMTP dialogues of others, played against a session core: chasquid's .cmy files and Apache James' .test files.

As the suite's README says, a reply is judged by its code and the first digit of its enhanced code, not by its text."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kit.play import Session, Stage

# How a script names a port -> a fresh session for it.
Connect = Callable[[str], Session]


def play_cmy(path: Path, connect: Connect, policy: Callable[[], Callable[[Any], Any]]) -> None:
    """chasquid's: one client `c`."""
    stage: Stage | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.strip()
        if not words.startswith("c "):
            continue
        verb, _, text = words[2:].partition(" ")
        where = f"{path.name} line {number}: {words[:80]}"
        if verb in ("tcp_connect", "tls_connect"):
            stage = Stage(connect(f"{verb} {text}"), policy())
            continue
        assert stage is not None, where
        if verb == "->":
            stage.hear(text.encode() + b"\r\n")
        elif verb == ".>":
            stage.hear(text.encode())
        elif verb == "~>":
            stage.hear(_literal(text))
        elif verb in ("<-", "<~"):
            _judge(stage.reply(), text, where)
        elif verb == "<...":
            _read_on(stage, text, where)
        else:
            assert verb in ("close", "wait"), where


def _read_on(stage: Stage, text: str, where: str) -> None:
    while True:
        reply = stage.reply()
        assert reply, f"{where}: no such reply"
        if reply[:3] == text[:3]:
            return


def _literal(text: str) -> bytes:
    """A Python expression of string literals, * and +."""
    value = _value(ast.parse(text, mode="eval").body)
    assert isinstance(value, str)
    return value.encode()


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.BinOp):
        apply = {ast.Mult: operator.mul, ast.Add: operator.add}[type(node.op)]
        return apply(_value(node.left), _value(node.right))
    return ast.literal_eval(node)


def _judge(reply: str, wanted: str, where: str) -> None:
    assert reply[:3] == wanted[:3], f"{where}: the server said {reply!r}"
    enhanced = re.match(r"\d{3} (\d)\.\d+\.\d+", wanted)
    if enhanced:
        assert reply[4:5] == enhanced[1], f"{where}: the server said {reply!r}"


def play_james(path: Path, session: Session, policy: Callable[[Any], Any]) -> None:
    """James': what stands in one block of C: lines goes out in one piece; \\r\\n in it is meant."""
    stage = Stage(session, policy)
    pending = b""
    heard: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("C:"):
            text = line[2:].removeprefix(" ")
            pending += text.replace("\\r\\n", "\r\n").encode().removesuffix(b"\r\n") + b"\r\n"
            heard = []
        elif line.startswith("S:"):
            if pending:
                stage.hear(pending)
                pending = b""
            code = line[3:6]
            if re.match(r"\d{3}-", line[3:]) or re.match(r"\d{3} [0-9A-Z]+\Z", line[3:]):
                continue  # what James offers in EHLO is James'
            heard.append(stage.reply())
            assert heard[-1][:3] == code, f"{path.name} line {number}: {line!r}, the server said {heard[-1]!r}"
    assert not pending, "the script ends with the client"
