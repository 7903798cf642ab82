"""Is this message wanted?  A judge that says accept, junk or refuse, and why, step by step.

    judge.py   signals -> Judgement

Not here: how the signals were found, what the server then does, where history is kept."""

from mox_junk.judge import Judgement, Kind, Signals, Step, judge

__all__ = ["Judgement", "Kind", "Signals", "Step", "judge"]
