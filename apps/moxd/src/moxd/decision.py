"""Why a message went where it went: the inputs, the ordered steps with their numbers, the outcome.

A record is data, written once and kept with the message (or, for what was refused, in the server's log of
decisions), so that "why?" has an answer months later and the decision can be replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FORMAT = 1
# An id is 63 bits: milliseconds since 1970 shifted by this much, the rest drawn at random.  Ids grow with time, so
# they are cheap to index, and two processes do not meet.
RANDOM_BITS = 20
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread


def new_id(now: float, random_bits: int) -> int:
    """A time-ordered id from seconds since 1970 and a random number below 2**RANDOM_BITS."""
    return (int(now * 1000) & ((1 << 43) - 1)) << RANDOM_BITS | random_bits & ((1 << RANDOM_BITS) - 1)


def id_text(number: int) -> str:
    """The form people see and type: 13 characters."""
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(60, -5, -5))


def id_number(text: str) -> int:
    """The number behind an id's text.  Raises ValueError for anything that is not one."""
    folded = text.strip().lower().replace("o", "0").replace("i", "1").replace("l", "1")
    if len(folded) != 13 or not set(folded) <= set(_ALPHABET):
        raise ValueError(f"{text!r} is not a message id; it has 13 letters and digits, as in the 250 reply")
    number = 0
    for character in folded:
        number = number << 5 | _ALPHABET.index(character)
    return number


@dataclass(slots=True)
class Step:
    """One step of a decision: what was looked at, what came out, by which rule, with which numbers."""

    what: str
    outcome: str
    because: str = ""
    rule: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        row: dict[str, Any] = {"what": self.what, "outcome": self.outcome}
        if self.because:
            row["because"] = self.because
        if self.rule:
            row["rule"] = self.rule
        if self.numbers:
            row["numbers"] = dict(self.numbers)
        return row


@dataclass(slots=True)
class Decision:
    """The record.  `kind` is accept, junk, refuse, delay, submit, bounce or deliver."""

    id: int
    time: float
    kind: str
    outcome: str
    inputs: Mapping[str, Any]
    steps: Sequence[Step]
    questions: Sequence[Mapping[str, Any]] = ()

    def to_json(self) -> bytes:
        """The stored form."""
        return json.dumps(
            {
                "format": FORMAT,
                "id": id_text(self.id),
                "time": self.time,
                "kind": self.kind,
                "outcome": self.outcome,
                "inputs": self.inputs,
                "steps": [step.to_dict() for step in self.steps],
                "questions": self.questions,
            },
            ensure_ascii=False,
            separators=(",", ":"),
            default=str,
        ).encode("utf-8", "surrogateescape")


def explain(record: Mapping[str, Any]) -> str:
    """A stored record as text for people."""
    when = datetime.fromtimestamp(float(record["time"]), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [f"message {record['id']}   {when}", f"{record['kind']}: {record['outcome']}", "", "what was known"]
    width = max((len(name) for name in record["inputs"]), default=0)
    lines += [f"  {name:<{width}}  {_shown(value)}" for name, value in record["inputs"].items()]
    lines += ["", "what was decided, in order"]
    for number, step in enumerate(record["steps"], 1):
        because = f": {step['because']}" if step.get("because") else ""
        rule = f"   [{step['rule']}]" if step.get("rule") else ""
        numbers = " ".join(f"{name}={value}" for name, value in step.get("numbers", {}).items())
        shown = f" ({numbers})" if numbers else ""
        lines.append(f"  {number}. {step['what']} -> {step['outcome']}{because}{shown}{rule}")
    if record.get("questions"):
        lines += ["", "what DNS answered"]
        lines += [
            f"  {q['name']} {q['type']}: {q['answer']}{' (authentic)' if q.get('authentic') else ''}"
            for q in record["questions"]
        ]
    return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else str(value)
