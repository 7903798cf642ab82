"""The others: how each is started and asked.  Each is one process that reads JSON lines and writes JSON lines."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import venv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from compare.cases import Case
from compare.ours import Said

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENT = ROOT / ".nox" / "compare"
SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
# A peer that says nothing for so long (seconds) is stopped; its cases count as unanswered.
PATIENCE = 600


class Missing(Exception):
    """This peer cannot be asked here; the text says what it needs."""


@dataclass(frozen=True, slots=True)
class Peer:
    """`command` gives how to start it, or raises Missing.  `view`: our verdict as this peer could put it."""

    name: str
    kinds: tuple[str, ...]
    command: Callable[[], list[str]]
    view: Callable[[Said], Said] = lambda said: said

    def ask(self, cases: list[Case]) -> dict[str, Said]:
        """The answers, by case."""
        command = self.command()
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="ascii",
            errors="replace", env={**os.environ, "PATH": SBIN, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            out, err = process.communicate("".join(case.line() + "\n" for case in cases))
        finally:
            timer.cancel()
        if not out and process.returncode:
            raise Missing(f"{command[0]} ended with {process.returncode}: {(err.strip().splitlines() or [''])[-1]}")
        answers = map(json.loads, out.splitlines())
        return {answer["id"]: Said(answer["verdict"], answer["said"]) for answer in answers}


@cache
def environment() -> Path:
    """Python with the peers of peers.txt, made when there is none or the list has changed."""
    wanted = HERE / "peers.txt"
    mark = ENVIRONMENT / "wanted"
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()
    if not mark.exists() or mark.read_text() != digest:
        print(f"making {ENVIRONMENT.relative_to(ROOT)} (once)", file=sys.stderr)
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        venv.create(ENVIRONMENT, with_pip=True)
        done = subprocess.run(
            [str(ENVIRONMENT / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", "-r", str(wanted)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Missing(f"pip could not install {wanted.name}: {(done.stderr.strip().splitlines() or [''])[-1]}")
        mark.write_text(digest)
    return ENVIRONMENT / "bin" / "python"


def library(name: str) -> Callable[[], list[str]]:
    """A Python library."""
    return lambda: [str(environment()), str(HERE / "peer_python.py"), name]


def perl(module: str, package: str) -> Callable[[], list[str]]:
    """A Perl module."""

    def command() -> list[str]:
        found = shutil.which("perl")
        if found is None or subprocess.run([found, f"-M{module}", "-e", "1"], capture_output=True).returncode:
            raise Missing(f"needs perl with {module} (Debian: {package})")
        return [found, str(HERE / "peer.pl")]

    return command


def opendkim() -> list[str]:
    """opendkim-testmsg, in a namespace of its own because it asks the system's name server."""
    program, unshare = shutil.which("opendkim-testmsg", path=SBIN), shutil.which("unshare", path=SBIN)
    if program is None or unshare is None:
        raise Missing("needs opendkim-testmsg and unshare (Debian: opendkim-tools util-linux)")
    start = [unshare, "--net", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*start, "true"], capture_output=True).returncode:
        raise Missing("needs the right to make namespaces, for a name server of its own")
    return [*start, sys.executable, str(HERE / "peer_opendkim.py"), program]


def whole(said: Said) -> Said:
    """One verdict for all signatures: a pass is enough."""
    words = said.verdict.split()
    return Said("pass" if "pass" in words else words[0], said.because)


PEERS = {
    peer.name: peer
    for peer in (
        Peer("pyspf", ("spf",), library("pyspf")),
        Peer("Mail::SPF", ("spf",), perl("Mail::SPF", "libmail-spf-perl")),
        Peer("dkimpy", ("dkim", "arc"), library("dkimpy")),
        Peer("Mail::DKIM", ("dkim", "arc"), perl("Mail::DKIM", "libmail-dkim-perl")),
        Peer("opendkim-testmsg", ("dkim",), opendkim, whole),
        Peer("authheaders", ("dmarc",), library("authheaders")),
        Peer("authres", ("authres",), library("authres")),
    )
}
