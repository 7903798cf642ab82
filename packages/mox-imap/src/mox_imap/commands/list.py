"""LIST (with RFC 5258, 5819, 6154) and LSUB"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mox_imap.backend import MailboxInfo
from mox_imap.commands.acl import my_rights_line
from mox_imap.commands.mailbox import name_bytes
from mox_imap.commands.metadata import entry_names, list_metadata
from mox_imap.commands.status import status_items, status_line
from mox_imap.extensions import Annotated, Shared, may_read
from mox_imap.fulfils import fulfils
from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer

MAX_PATTERNS = 100
_RUN = re.compile(r"[*%]+|[^*%]+")


class Pattern:
    """Reference and pattern together, `*` matching anything and `%` anything without "/".

    Every place that a name may be matched up to is followed at once, so that no pattern takes more than its length
    times that of the name."""

    def __init__(self, reference: str, text: str) -> None:
        self._runs = _RUN.findall(reference + text)
        self._folded = [run.lower() for run in self._runs]

    @property
    def looks_at_one_level(self) -> bool:
        """Does it end with `%`?"""
        return bool(self._runs) and set(self._runs[-1]) == {"%"}

    def match(self, name: str) -> bool:
        """Does it match a name?  Inbox in any case (RFC 9051 5.1)."""
        if name == "Inbox":
            return _matches(self._folded, "inbox")
        return _matches(self._runs, name) or (name.startswith("Inbox/") and _matches(self._runs, "INBOX" + name[5:]))


def _matches(runs: list[str], name: str) -> bool:
    places = [0]  # ascending
    for run in runs:
        if "*" in run:
            places = list(range(places[0], len(name) + 1))
        elif run[0] == "%":
            places = _up_to_slash(places, name)
        else:
            places = [at + len(run) for at in places if name.startswith(run, at)]
        if not places:
            return False
    return places[-1] == len(name)


def _up_to_slash(places: list[int], name: str) -> list[int]:
    found: list[int] = []
    for at in places:
        if found and at <= found[-1]:
            continue
        slash = name.find("/", at)
        found += range(at, (len(name) if slash < 0 else slash) + 1)
    return found


def list_(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.9"""
    scan.sp()
    select: tuple[str, ...] = ()
    if scan.peek(b"("):
        select = _options(scan)
        scan.sp()
    reference = scan.mailbox()
    scan.sp()
    patterns = _patterns(scan)
    returns = Returns()
    if scan.take(b" RETURN "):
        returns = _returns(s, scan)
    scan.end()
    if patterns == [""]:
        yield b'* LIST (\\Noselect) "/" ""\r\n'
        return None
    matchers = [Pattern(reference, text) for text in patterns]
    yield from _listed(s, select, matchers, returns)
    return None


def _options(scan: Scanner) -> tuple[str, ...]:
    scan.expect(b"(")
    found: list[str] = []
    while not scan.take(b")"):
        if found:
            scan.sp()
        option = scan.atom().upper()
        if option not in ("SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE") or len(found) > 10:
            raise scan.fail(f"no such selection option {option[:40]}")
        found.append(option)
    if "RECURSIVEMATCH" in found and not {"SUBSCRIBED", "SPECIAL-USE"} & set(found):
        raise scan.fail("RECURSIVEMATCH needs another option")
    return tuple(found)


def _patterns(scan: Scanner) -> list[str]:
    if not scan.take(b"("):
        return [scan.list_mailbox()]
    found = [scan.list_mailbox()]
    while not scan.take(b")"):
        scan.sp()
        found.append(scan.list_mailbox())
        if len(found) > MAX_PATTERNS:
            raise scan.fail("too many patterns")
    return found


@dataclass(frozen=True, slots=True)
class Returns:
    """list-return-opts"""

    options: tuple[str, ...] = ()
    status: list[str] = field(default_factory=list)
    metadata: tuple[str, ...] = ()


# Return options, and what has to be announced for them.
RETURN_OPTIONS = {
    "SUBSCRIBED": "LIST-EXTENDED", "CHILDREN": "LIST-EXTENDED", "SPECIAL-USE": "SPECIAL-USE", "STATUS": "LIST-STATUS",
    "MYRIGHTS": "LIST-MYRIGHTS", "METADATA": "LIST-METADATA",
}  # fmt: skip


def _returns(s: ImapServer, scan: Scanner) -> Returns:
    scan.expect(b"(")
    found: list[str] = []
    status: list[str] = []
    metadata: tuple[str, ...] = ()
    while not scan.take(b")"):
        if found:
            scan.sp()
        option = scan.atom().upper()
        if option not in RETURN_OPTIONS or not s.offers(RETURN_OPTIONS[option]) or len(found) > 20:
            raise scan.fail(f"no such return option {option[:40]}")
        if option == "STATUS":
            scan.sp()
            status = status_items(s, scan)
        elif option == "METADATA":
            scan.sp()
            metadata = entry_names(scan)
        found.append(option)
    return Returns(tuple(found), status, metadata)


def _listed(s: ImapServer, select: tuple[str, ...], matchers: list[Pattern], returns: Returns) -> Iterator[bytes]:
    assert s.account is not None
    infos = {info.name: info for info in s.account.mailboxes()}
    subscribed = set(s.account.subscriptions())
    names = sorted({*infos, *(subscribed if "SUBSCRIBED" in select else ())}, key=_order)
    parents = {above for name in infos for above in _above(name)}
    # RFC 9051 6.3.9: levels of the hierarchy that are no mailboxes are shown to who looks at one level.
    levels = set() if select else parents - infos.keys()
    chosen = [name for name in names if _chosen(infos.get(name), name, select, subscribed)]
    # RFC 5258 3.5: with RECURSIVEMATCH, what is above something chosen is shown too, and says so.
    below = {above for name in chosen for above in _above(name)} if "RECURSIVEMATCH" in select else set()
    wanted = {*chosen, *below}
    words = b" ".join(b'"%s"' % option.encode() for option in select if option in ("SUBSCRIBED", "SPECIAL-USE"))
    for name in sorted({*names, *below, *levels}, key=_order):
        if name in levels:
            if any(matcher.looks_at_one_level and matcher.match(name) for matcher in matchers):
                yield b'* LIST (\\Noselect \\HasChildren) "/" %s\r\n' % name_bytes(s, name)
            continue
        if name not in wanted or not any(matcher.match(name) for matcher in matchers):
            continue
        info = infos.get(name)
        attributes = " ".join(
            _attributes(info, name in parents, name in subscribed, {*select, *returns.options})
        ).encode()
        child = b' ("CHILDINFO" (%s))' % words if name in below else b""
        yield b'* LIST (%s) "/" %s%s\r\n' % (attributes, name_bytes(s, name), child)
        if info is not None:
            yield from _more(s, info, returns)


def _more(s: ImapServer, info: MailboxInfo, returns: Returns) -> Iterator[bytes]:
    """What LIST-STATUS, LIST-MYRIGHTS and LIST-METADATA tell of a mailbox."""
    account = s.account
    if returns.status and may_read(account, info.name):
        yield status_line(s, info, returns.status)
    if "MYRIGHTS" in returns.options and fulfils(account, Shared):
        yield my_rights_line(s, account, info.name)
    if returns.metadata and fulfils(account, Annotated):
        yield from list_metadata(s, info.name, returns.metadata, account)


def _above(name: str) -> Iterator[str]:
    return (name[:at] for at, character in enumerate(name) if character == "/")


def _order(name: str) -> tuple[bool, str]:
    return name != "Inbox", name


def _chosen(info: MailboxInfo | None, name: str, select: tuple[str, ...], subscribed: set[str]) -> bool:
    if "SUBSCRIBED" in select and name not in subscribed:
        return False
    return not ("SPECIAL-USE" in select and (info is None or not info.special_use))


def _attributes(info: MailboxInfo | None, parent: bool, subscribed: bool, asked: set[str]) -> Iterator[str]:
    if info is None:
        yield "\\NonExistent"
    if parent or info is not None:
        # RFC 3348 3: servers that know tell it always.
        yield "\\HasChildren" if parent else "\\HasNoChildren"
    if subscribed and "SUBSCRIBED" in asked:
        yield "\\Subscribed"
    if info is not None and info.special_use:
        yield info.special_use


def lsub(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 3501 6.3.9"""
    scan.sp()
    reference = scan.mailbox()
    scan.sp()
    matcher = Pattern(reference, scan.list_mailbox())
    scan.end()
    assert s.account is not None
    told: set[str] = set()
    for name in sorted(s.account.subscriptions(), key=_order):
        if matcher.match(name):
            told.add(name)
            yield b'* LSUB () "/" %s\r\n' % name_bytes(s, name)
            continue
        # With %, a subscribed name below an unsubscribed one is shown through its parent.
        for at in (at for at in range(len(name)) if name[at] == "/"):
            above = name[:at]
            if above not in told and matcher.match(above) and above not in s.account.subscriptions():
                told.add(above)
                yield b'* LSUB (\\Noselect) "/" %s\r\n' % name_bytes(s, above)
    return None
