"""Every target for so many seconds: `python fuzz/run.py [SECONDS] [TARGET …]` (needs atheris; `nox -s fuzz` brings it).

Instruments our packages only, begins with the seeds in fuzz/corpus/TARGET, keeps what it learns in .nox/fuzz/TARGET,
and puts an input that breaks something beside it.  One line a target: inputs tried, or what broke.  Exit status 1 if
any did."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LEARNT = HERE.parent / ".nox" / "fuzz"
# An input that takes longer is a finding: parsers are linear.
SLOW_SECONDS = 20
MEMORY_MB = 2048
TARGETS = sorted(path.stem for path in HERE.glob("*_*.py"))

CHILD = """
import importlib, sys
sys.path.insert(0, {here!r})
import atheris
with atheris.instrument_imports(include=["mox_dns", "mox_message", "mox_spf", "mox_dkim", "mox_dmarc", "mox_mtasts",
        "mox_tlsrpt", "mox_dane", "mox_sasl", "mox_smtp", "mox_imap", "mox_store", "mox_queue"]):
    target = importlib.import_module({name!r})
atheris.Setup(sys.argv, target.fuzz)
atheris.Fuzz()
"""


def run(name: str, seconds: int) -> bool:
    """Runs one target, prints its line; did it hold?"""
    learnt = LEARNT / name
    learnt.mkdir(parents=True, exist_ok=True)
    seeds = HERE / "corpus" / name
    command = [
        sys.executable, "-c", CHILD.format(here=str(HERE), name=name), f"-max_total_time={seconds}",
        f"-timeout={SLOW_SECONDS}", f"-rss_limit_mb={MEMORY_MB}", "-max_len=8192", f"-artifact_prefix={learnt}/",
        "-print_final_stats=1", str(learnt), *([str(seeds)] if seeds.is_dir() else []),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    tried = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    if done.returncode == 0:
        print(f"{name:<18} held   {tried[1] if tried else '?':>9} inputs", flush=True)
        return True
    print(f"{name:<18} BROKE  see {learnt}", flush=True)
    print("\n".join(done.stderr.splitlines()[-40:]), file=sys.stderr)
    return False


def main() -> int:
    """Runs them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=int, nargs="?", default=20, help="for each target (default 20)")
    parser.add_argument("target", nargs="*", help=f"of {', '.join(TARGETS)} (default all)")
    options = parser.parse_args()
    unknown = set(options.target) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}")
    try:
        import atheris  # noqa: F401
    except ImportError:
        parser.error("atheris is not installed here; `python3 noxfile.py fuzz` brings it")
    held = [run(name, options.seconds) for name in options.target or TARGETS]
    return 0 if all(held) else 1


if __name__ == "__main__":
    raise SystemExit(main())
