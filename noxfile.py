"""Everything one types here: `python3 noxfile.py SESSION`.

    localserve   a mail server on this machine, to try and to develop against
    tests        all tests, real peers included
    lint types alone wheels      what a change must pass as well
    conformance compare rfcs     how it stands beside suites, other people's programs, and the RFCs
    fuzz bench                   longer looks

Needs Python 3.11 and its venv module, nothing else: it makes its own tools in .nox/ and is quick the second time."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".nox" / ".tools"
TOOLS_WANTED = ("nox>=2025.2", "uv>=0.9")


def bootstrap(arguments: list[str]) -> int:
    """Makes .nox/.tools with nox and uv if it is not there, and runs nox from it."""
    if sys.version_info < (3, 11):  # noqa: UP036 whoever runs this file may have any Python
        print(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    nox_program = TOOLS / "bin" / "nox"
    mark = TOOLS / "wanted"
    wanted = "\n".join((sys.version, *TOOLS_WANTED))
    if not nox_program.exists() or not mark.exists() or mark.read_text() != wanted:
        try:
            import ensurepip  # noqa: F401
        except ImportError:
            print(
                "Python's venv module is incomplete here; install it (Debian and Ubuntu: apt install python3-venv)",
                file=sys.stderr,
            )
            return 2
        print("setting up tools in .nox/ (once)", file=sys.stderr)
        shutil.rmtree(TOOLS, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(TOOLS)], check=True)
        subprocess.run(
            [str(TOOLS / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *TOOLS_WANTED], check=True
        )
        mark.write_text(wanted)
    if arguments and not arguments[0].startswith("-"):
        session, *rest = arguments
        arguments = ["-s", session, *(["--", *rest] if rest and rest[0] != "--" else rest)]
    environment = {**os.environ, "PATH": f"{TOOLS / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    try:
        return subprocess.call(
            [str(nox_program), "-f", str(Path(__file__).resolve()), *arguments], cwd=ROOT, env=environment
        )
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(bootstrap(sys.argv[1:]))

import nox  # noqa: E402  only nox itself gets here

nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests"]
PYTHON_DIRS = ("packages", "apps", "tests", "fuzz", "bench", "noxfile.py")
# Debian's names of the real programs and modules that the tests talk to, and a file that each of them brings.
PEERS = {
    "knot": "/usr/sbin/knotd", "knot-dnsutils": "/usr/bin/kdig", "unbound": "/usr/sbin/unbound",
    "swaks": "/usr/bin/swaks", "msmtp": "/usr/bin/msmtp", "postfix": "/usr/sbin/postfix", "isync": "/usr/bin/mbsync",
    "neomutt": "/usr/bin/neomutt", "curl": "/usr/bin/curl", "strace": "/usr/bin/strace", "iproute2": "/bin/ip",
    "openssl": "/usr/bin/openssl", "gnutls-bin": "/usr/bin/danetool", "opendkim-tools": "/usr/sbin/opendkim-testmsg",
    "libmail-dkim-perl": "/usr/share/perl5/Mail/DKIM.pm", "libmail-spf-perl": "/usr/share/perl5/Mail/SPF.pm",
    "dovecot-imapd": "/usr/lib/dovecot/imap", "rspamd": "/usr/bin/rspamd",
    "postfix-mta-sts-resolver": "/usr/bin/mta-sts-daemon", "microsocks": "/usr/bin/microsocks",
    "hash-slinger": "/usr/bin/tlsa", "libxml2-utils": "/usr/bin/xmllint", "fetchmail": "/usr/bin/fetchmail",
    "getmail6": "/usr/bin/getmail", "offlineimap3": "/usr/bin/offlineimap", "aerc": "/usr/bin/aerc",
    "claws-mail": "/usr/bin/claws-mail", "xdotool": "/usr/bin/xdotool",
    "thunderbird": "/usr/bin/thunderbird", "xvfb": "/usr/bin/Xvfb", "imagemagick": "/usr/bin/import",
}  # fmt: skip
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))


def _project_hash() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(
        [ROOT / "pyproject.toml", *ROOT.glob("packages/*/pyproject.toml"), *ROOT.glob("apps/*/pyproject.toml")]
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _environment(session: nox.Session, name: str, *groups: str) -> Path:
    """A kept environment with the workspace installed editable; synced only when a pyproject.toml has changed."""
    folder = ROOT / ".nox" / name
    mark = folder / "synced"
    if not mark.exists() or mark.read_text() != _project_hash():
        flags = [flag for group in groups for flag in ("--group", group)]
        session.run(
            "uv", "sync", "-q", "--no-default-groups", *flags, "--python", sys.executable,
            env={"UV_PROJECT_ENVIRONMENT": str(folder)}, external=True,
        )  # fmt: skip
        mark.write_text(_project_hash())
    return folder / "bin"


def _peers(session: nox.Session) -> None:
    """Installs what is missing of the real programs, where apt can."""
    missing = [package for package, path in PEERS.items() if not Path(path).exists()]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        session.log(f"not here: {' '.join(missing)}; tests that need them are skipped and say so")
        return
    session.log(f"installing {' '.join(missing)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ("apt-get", "-o", "DPkg::Lock::Timeout=300")
    session.run(*apt, "update", "-qq", external=True, silent=True, success_codes=[0, 100])
    session.run(
        *apt, "install", "-y", "-qq", "--no-install-recommends", *missing,
        external=True, silent=True, env=environment, success_codes=[0, 100],
    )  # fmt: skip


@contextmanager
def _scratch() -> Iterator[dict[str, str]]:
    """Variables that give one run of pytest a folder of its own; it stays when the run fails.

    pytest's usual one is swept by every run of a machine, which then fails over what some other run left there."""
    folder = tempfile.mkdtemp(prefix="mox-")
    yield {"PYTEST_DEBUG_TEMPROOT": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    shutil.rmtree(folder, ignore_errors=True)


@nox.session
def localserve(session: nox.Session) -> None:
    """A mail server on this machine; what follows is for moxd (--data DIR, …)."""
    bin_ = _environment(session, "serve")
    # Not session.run: Ctrl-C is moxd's alone, and its end is ours.
    process = subprocess.Popen([str(bin_ / "moxd"), "localserve", *session.posargs])
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            continue
    if code not in (0, 130):
        session.error(f"moxd ended with {code}")


@nox.session
def tests(session: nox.Session) -> None:
    """Every test.  Arguments go to pytest."""
    _peers(session)
    bin_ = _environment(session, "dev", "dev", "lint", "types")
    arguments = session.posargs or ["-n", "2", "--dist", "loadgroup", "-q"]
    path = f"{bin_}{os.pathsep}{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    with _scratch() as variables:
        session.run(
            str(bin_ / "python"), "-m", "pytest", *arguments, external=True, env={"PATH": path, **variables}
        )  # fmt: skip


@nox.session
def lint(session: nox.Session) -> None:
    """ruff, rules and format."""
    bin_ = _environment(session, "dev", "dev", "lint", "types")
    session.run(str(bin_ / "ruff"), "check", "--no-cache", *PYTHON_DIRS, external=True)
    session.run(str(bin_ / "ruff"), "format", "--no-cache", "--check", *PYTHON_DIRS, external=True)


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict on all sources."""
    bin_ = _environment(session, "dev", "dev", "lint", "types")
    sources = [str(path / "src") for path in [*PACKAGES, ROOT / "apps" / "moxd"]]
    session.run(str(bin_ / "mypy"), "--cache-dir", str(ROOT / ".nox" / "mypy"), *sources, external=True)


@nox.session
def alone(session: nox.Session) -> None:
    """Each package's tests with only that package and what it declares."""
    wanted = session.posargs or [path.name for path in PACKAGES]
    for package in PACKAGES:
        folder = ROOT / "tests" / package.name.removeprefix("mox-")
        if package.name not in wanted or not folder.is_dir():
            continue
        environment = ROOT / ".nox" / f"alone-{package.name}"
        session.run("uv", "venv", "-q", "--clear", "--python", sys.executable, str(environment), external=True)
        session.run(
            "uv", "pip", "install", "-q", "--python", str(environment / "bin" / "python"), "-e", f"{package}[testing]",
            "pytest", "pytest-xdist", "pytest-timeout", "hypothesis", "lark", "pyyaml", external=True,
        )  # fmt: skip
        path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
        with _scratch() as variables:
            session.run(
                str(environment / "bin" / "python"), "-m", "pytest", "-q", "-n", "2", str(folder), external=True,
                env={"PATH": path, "MOX_ALONE": package.name, **variables},
            )  # fmt: skip


@nox.session
def wheels(session: nox.Session) -> None:
    """Builds every wheel, installs them with plain pip in an empty environment, runs each command line."""
    dist, empty = ROOT / ".nox" / "dist", ROOT / ".nox" / "wheels"
    shutil.rmtree(dist, ignore_errors=True)
    shutil.rmtree(empty, ignore_errors=True)
    session.run("uv", "build", "-q", "--all-packages", "--wheel", "-o", str(dist), external=True)
    session.run(sys.executable, "-m", "venv", str(empty), external=True)
    built = sorted(str(path) for path in dist.glob("*.whl"))
    session.run(
        str(empty / "bin" / "pip"),
        "install",
        "-q",
        "--disable-pip-version-check",
        "--find-links",
        str(dist),
        *built,
        external=True,
    )
    for package in PACKAGES:
        module = package.name.replace("-", "_")
        session.run(str(empty / "bin" / "python"), "-m", module, "--help", external=True, silent=True)
    session.run(str(empty / "bin" / "moxd"), "--help", external=True, silent=True)
    session.log(f"{len(built)} wheels installed, every command line answers")


@nox.session
def conformance(session: nox.Session) -> None:
    """The suites of others, one line each."""
    bin_ = _environment(session, "dev", "dev", "lint", "types")
    asking = [path for path in sorted(ROOT.glob("tests/*/test_*.py")) if "from kit.suites import" in path.read_text()]
    with _scratch() as variables:
        session.run(
            str(bin_ / "python"), "-m", "pytest", "-q", "-n", "2", "--suites", "-m", "not peers", *map(str, asking),
            external=True, env=variables,
        )  # fmt: skip


@nox.session
def compare(session: nox.Session) -> None:
    """The same inputs to our verifiers and to other people's; every disagreement is explained in a table."""
    _peers(session)
    bin_ = _environment(session, "dev", "dev", "lint", "types")
    path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin{os.pathsep}{TOOLS / 'bin'}"
    session.run(str(bin_ / "python"), "tests/compare/compare.py", *session.posargs, external=True, env={"PATH": path})


@nox.session
def rfcs(session: nox.Session) -> None:
    """What docs/rfcs/status.toml claims, against the sections that code and tests name."""
    bin_ = _environment(session, "dev", "dev", "lint", "types")
    session.run(str(bin_ / "python"), "docs/rfcs/crosslink.py", *session.posargs, external=True)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Each fuzz target for so many seconds (default 20)."""
    bin_ = _environment(session, "fuzzing", "dev", "fuzz")
    session.run(str(bin_ / "python"), "fuzz/run.py", *session.posargs, external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """bench/NAME.py, beside its peers: `python3 noxfile.py bench way_in`."""
    bin_ = _environment(session, "dev", "dev", "lint", "types")
    names = session.posargs or ["way_in"]
    for name in names:
        path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
        session.run(str(bin_ / "python"), f"bench/{name}.py", external=True, env={"PATH": path})
