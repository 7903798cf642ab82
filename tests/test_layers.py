"""The arrows and the invariants of docs/architecture.md, with the reason beside each."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {
    **{path.name: path / "src" / path.name.replace("-", "_") for path in sorted(ROOT.glob("packages/mox-*"))},
    "moxd": ROOT / "apps" / "moxd" / "src" / "moxd",
}

# Who may import whom.  What is absent is absent on purpose: the asking side owns a Protocol or takes plain values.
ARROWS: dict[str, set[str]] = {
    "dns": set(),
    "sasl": set(),
    "message": {"dns"},
    "spf": {"dns"},
    "mtasts": {"dns"},
    "dane": {"dns"},
    "dkim": {"message", "dns"},
    "dmarc": {"message", "dns"},
    "tlsrpt": {"message", "dns"},
    "junk": {"message", "dns"},
    "smtp": {"message", "sasl", "dns"},
    "imap": {"message", "sasl"},
    "store": {"message"},
    "queue": {"smtp", "sasl", "mtasts", "dane", "tlsrpt", "message", "dns"},
}
# moxd composes all of them.
ARROWS["moxd"] = set(ARROWS)

# Waiting happens in few places, so that every core can be tested, and used, without a loop.
MAY_WAIT = re.compile(
    r"mox_\w+/(aio(/\w+)?|testing/\w+|__main__)\.py"
    r"|mox_dns/(lookup|resolver|flight|adapters|from_dnspython)\.py"
    r"|mox_mtasts/fetch\.py"
    r"|mox_queue/(queue|direct|submit|call|courier|idle)\.py"
    r"|mox_store/(account|database|group)\.py"
    r"|moxd/.*"
)
# Sockets are opened, and clocks read, only where waiting happens or a command line begins.
MAY_CONNECT = MAY_WAIT
# SQL belongs to whoever owns the data; everybody else calls whole operations.
MAY_KNOW_SQLITE = re.compile(r"mox_store/\w+\.py|mox_queue/rows/\w+\.py|moxd/cli/\w+\.py|moxd/app\.py")
MAY_WRITE_SQL = re.compile(r"mox_store/.*|mox_queue/rows/.*")
# Rooms that a package opens beside its door: parts that most of its users never load, and parts to build parsers on.
OPEN_ROOMS = {
    "mox_dns": {"resolver", "publicsuffix", "scanner", "taglist"},
    "mox_message": {"fields", "content", "compose", "dsn", "authres", "thread", "text"},
    "mox_imap": {"structure"},
    "mox_dkim": {"key"},
    "mox_dmarc": {"report", "collect"},
    "mox_smtp": {"client", "mx", "trust"},
    "mox_queue": {"direct", "submit"},
}
CLOCKS = {("time", "time"), ("time", "monotonic"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}
SQL = re.compile(r"\s*(SELECT .* FROM |INSERT (OR \w+ )?INTO |UPDATE \w+ SET |DELETE FROM |CREATE (TABLE|INDEX) )")


@cache
def files() -> dict[str, ast.Module]:
    """Every source file, as `mox_x/room.py`."""
    found = {}
    for folder in SOURCES.values():
        for path in sorted(folder.rglob("*.py")):
            found[path.relative_to(folder.parent).as_posix()] = ast.parse(path.read_text("utf-8"))
    return found


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every absolute module named in an import, `from a import b` as both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


def short(package: str) -> str:
    return package.removeprefix("mox_").removeprefix("mox-")


def test_all_packages_have_their_place() -> None:
    assert {short(name) for name in SOURCES} == set(ARROWS)


def test_arrows_go_down() -> None:
    """No circles: an order exists in which each package comes after all it may import."""
    placed: set[str] = set()
    while remaining := set(ARROWS) - placed:
        ready = {name for name in remaining if ARROWS[name] <= placed | {name}}
        assert ready, f"a circle among {remaining}"
        placed |= ready


def test_only_the_arrows_are_imported() -> None:
    wrong = []
    for name, tree in files().items():
        own = short(name.split("/", 1)[0])
        for module, line in imports(tree):
            top = module.partition(".")[0]
            if top.startswith("mox") and (other := short(top)) != own and other not in ARROWS[own]:
                wrong.append(f"{name}:{line} imports {module}")
    assert not wrong


def test_other_packages_are_entered_by_the_door() -> None:
    """A name that is not exported may change any day."""
    wrong = []
    for name, tree in files().items():
        own = name.split("/", 1)[0]
        for module, line in imports(tree):
            top, _, room = module.partition(".")
            if not top.startswith("mox_") or top == own or not room:
                continue
            if room.partition(".")[0] not in {"aio", "testing", *OPEN_ROOMS.get(top, ())}:
                wrong.append(f"{name}:{line} imports {module}")
    assert not wrong


def test_await_only_where_waiting_belongs() -> None:
    wrong = [
        f"{name}:{node.lineno}"
        for name, tree in files().items()
        if not MAY_WAIT.fullmatch(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith)
    ]
    assert not wrong


def test_sockets_and_clocks_only_where_waiting_belongs() -> None:
    """Cores take `now`, so a decision can be replayed."""
    wrong = []
    for name, tree in files().items():
        if MAY_CONNECT.fullmatch(name):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                base = (
                    owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
                )
                if (base, node.func.attr) in CLOCKS or (
                    base == "socket" and node.func.attr in {"socket", "create_connection"}
                ):
                    wrong.append(f"{name}:{node.lineno} {base}.{node.func.attr}()")
    assert not wrong


def test_sqlite_is_known_only_to_its_rooms() -> None:
    """So that another engine can stand behind the same doors."""
    wrong = [
        f"{name}:{line}"
        for name, tree in files().items()
        if not MAY_KNOW_SQLITE.fullmatch(name)
        for module, line in imports(tree)
        if module.partition(".")[0] in {"sqlite3", "apsw"}
    ]
    assert not wrong


def test_sql_is_written_only_in_its_rooms() -> None:
    wrong = [
        f"{name}:{node.lineno}"
        for name, tree in files().items()
        if not MAY_WRITE_SQL.fullmatch(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    ]
    assert not wrong


def test_moxd_does_cryptography_in_one_folder() -> None:
    """Keys and certificates in moxd/tls/, and nowhere else in the server."""
    wrong = [
        f"{name}:{line}"
        for name, tree in files().items()
        if name.startswith("moxd/") and not name.startswith("moxd/tls/")
        for module, line in imports(tree)
        if module.partition(".")[0] == "cryptography"
    ]
    assert not wrong


def test_libraries_know_nothing_of_a_server() -> None:
    """No configuration, no metrics, no web framework in a library."""
    foreign = {"tomllib", "tomlkit", "pydantic", "prometheus_client", "starlette", "uvicorn", "jinja2"}
    wrong = [
        f"{name}:{line} imports {module}"
        for name, tree in files().items()
        if not name.startswith("moxd/")
        for module, line in imports(tree)
        if module.partition(".")[0] in foreign
    ]
    assert not wrong


# -- what each package brings along


@pytest.mark.parametrize("package", SOURCES)
def test_each_package_is_whole(package: str) -> None:
    source = SOURCES[package]
    project = source.parent.parent
    door = ast.get_docstring(ast.parse((source / "__init__.py").read_text("utf-8"))) or ""
    assert door, "the door says what question the package answers"
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        assert (project / name).is_file(), name
    for name in ("py.typed", "__main__.py"):
        assert (source / name).is_file(), name
    meta = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    assert meta["name"] == package
    assert len((project / "README.md").read_text("utf-8")) > 400, "a README that shows how"


@pytest.mark.parametrize("package", SOURCES)
def test_versions_move_together(package: str) -> None:
    """One version; every bound admits it."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    meta = tomllib.loads((SOURCES[package].parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
    major, minor, _ = version.split(".")
    assert meta["version"] == version
    for wanted in meta["dependencies"]:
        if wanted.startswith("mox"):
            assert wanted.endswith(f">={version},<{major}.{int(minor) + 1}"), wanted


@pytest.mark.parametrize("package", SOURCES)
def test_what_is_imported_is_declared(package: str) -> None:
    """Also at run time: `pip install` of one package brings all it needs."""
    meta = tomllib.loads((SOURCES[package].parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
    listed = [
        *meta["dependencies"],
        *(one for extra in meta.get("optional-dependencies", {}).values() for one in extra),
    ]
    declared = {re.split(r"[\[<>=;~! ]", one)[0].lower().replace("-", "_") for one in listed}
    names = {"dns": "dnspython", "argon2": "argon2_cffi", "yaml": "pyyaml"}
    own = package.replace("-", "_")
    missing = set()
    for path in SOURCES[package].rglob("*.py"):
        for module, _ in imports(ast.parse(path.read_text("utf-8"))):
            top = module.partition(".")[0]
            if top != own and not _standard(top) and names.get(top, top).lower() not in declared:
                missing.add(f"{top} in {path.name}")
    assert not missing


def _standard(name: str) -> bool:
    import sys

    return name in sys.stdlib_module_names
