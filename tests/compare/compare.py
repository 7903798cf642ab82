"""The same questions to us and to others; every disagreement is explained by a rule, or it is one too many.

    python tests/compare/compare.py [--peer NAME]… [--all] [--keep FILE]

Peers: pyspf, dkimpy, authheaders, authres (in an environment of their own under .nox/compare), Mail::SPF, Mail::DKIM,
opendkim-testmsg (Debian: libmail-spf-perl libmail-dkim-perl opendkim-tools).  One that is not there is left out, and
named.  Prints a line for each peer: agreed, explained, unexplained.  Exit code 1 if something is unexplained.

The rules stand in explained.toml, each with the sentence of an RFC that makes ours right or both possible."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from compare import cases, ours, table  # noqa: E402
from compare.peers import PEERS, Missing, Peer  # noqa: E402

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Runs the peers that are asked for."""
    parser = argparse.ArgumentParser(description="Compare our verdicts with those of others.")
    parser.add_argument("--peer", action="append", choices=sorted(PEERS), help="only this one; may be repeated")
    parser.add_argument("--all", action="store_true", help="show what is explained, too")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write every disagreement there, as JSON lines")
    options = parser.parse_args()
    rules = table.read(HERE / "explained.toml")
    peers = [PEERS[name] for name in options.peer or PEERS]
    every = cases.all_cases({kind for peer in peers for kind in peer.kinds})
    said = {case.id: ours.say(case) for case in every}
    bad = 0
    kept = options.keep.open("w") if options.keep else None
    for peer in peers:
        wanted = [case for case in every if case.kind in peer.kinds]
        try:
            answers = peer.ask(wanted)
        except Missing as missing:
            print(f"{peer.name:18} not compared: {missing}")
            continue
        bad += report(peer, wanted, said, answers, rules, show=options.all, kept=kept)
    return 1 if bad else 0


def report(
    peer: Peer,
    wanted: list[cases.Case],
    said: dict[str, ours.Said],
    answers: dict[str, ours.Said],
    rules: list[table.Rule],
    *,
    show: bool,
    kept: object,
) -> int:
    """Prints the peer's line, and what is unexplained before it; returns how much that is."""
    counts: Counter[str] = Counter()
    used: Counter[int] = Counter()
    for case in wanted:
        mine, theirs = said[case.id], answers.get(case.id, ours.Said("silent", "it gave no answer"))
        mine = peer.view(mine)
        if mine.verdict == theirs.verdict:
            counts["agreed"] += 1
            continue
        rule = table.explain(rules, peer.name, case, mine, theirs)
        counts["unexplained" if rule is None else "explained"] += 1
        if rule is not None:
            used[rule.number] += 1
        if rule is None or show:
            why = "" if rule is None else f"\n      {rule.why}"
            print(
                f"  {case.id}\n      we   {mine.verdict}: {mine.because}\n      they {theirs.verdict}: {theirs.because}{why}"
            )
        if kept is not None:
            facts = {"peer": peer.name, "rule": None if rule is None else rule.number, "ours": mine, "theirs": theirs}
            print(json.dumps({**facts, "case": json.loads(case.line())}), file=kept)  # type: ignore[call-overload]
    idle = [rule for rule in rules if rule.peer == peer.name and not used[rule.number]]
    for rule in idle:
        print(f"  a rule of {peer.name} explains nothing here: {rule.cases} {rule.because} {rule.said}")
    line = ", ".join(f"{counts[what]} {what}" for what in ("agreed", "explained", "unexplained"))
    print(f"{peer.name:18} {line}")
    return counts["unexplained"]


if __name__ == "__main__":
    sys.exit(main())
