"""THREAD (RFC 5256 3): ORDEREDSUBJECT, REFERENCES, and REFS (as REFERENCES without gathering by subject, the thread
with the newest message last).

Chains may be as long as a mailbox, so nothing here calls itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from mox_imap.backend import Row
from mox_imap.commands.envelopes import envelope
from mox_imap.commands.filters import Slice
from mox_imap.commands.filters import scan as look
from mox_imap.commands.keys import Compiler
from mox_imap.commands.search import charset
from mox_imap.commands.sorting import AT_ONCE, MAX_REMEMBERED, folded
from mox_imap.scanner import Scanner
from mox_imap.server import Breathe, Command, ImapServer, Yielded
from mox_imap.view import View
from mox_message import decode, message_ids
from mox_message.thread import base_subject, is_reply

MAX_HEADER = 1024 * 1024
# The ids of one message that are followed, the youngest.
MAX_REFERENCES = 200
# How far up is looked for a loop.
MAX_DEPTH = 1000
_REFERENCES = re.compile(rb"\nReferences[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE)


@dataclass(eq=False, slots=True)
class Node:
    """A message, or with `number` 0 one that others refer to and that is not here."""

    number: int = 0
    sent: float = 0.0
    arrived: float = 0.0
    subject: str = ""  # base subject, folded
    reply: bool = False
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    has_below: bool = False  # somebody was put below it, once


@dataclass(frozen=True, slots=True)
class Told:
    """What a message says of its thread; that never changes."""

    sent: float
    arrived: float
    subject: str  # base subject, folded
    reply: bool
    id: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """What threading looks at."""

    number: int  # in the answer
    order: int  # by sequence number
    told: Told


def thread(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 5256 3"""
    scan.sp()
    name = scan.atom().upper()
    algorithm = ALGORITHMS.get(name)
    if algorithm is None:
        raise scan.fail(f"no such threading {name[:40]}")
    scan.sp()
    charset(scan)
    scan.sp()
    view = s.selected()
    filters = Compiler(s, scan, view).program()
    scan.end()
    found: list[int] = []
    yield from look(view, filters, found, most=s.config.message_limit)
    messages: list[Message] = []
    yield from _read(view, found, messages, uid=uid)
    roots = algorithm(messages)
    yield b"* THREAD" + (b" " if roots else b"") + b"".join(map(shown, roots)) + b"\r\n"
    return None


def _read(view: View, indexes: Sequence[int], out: list[Message], *, uid: bool) -> Iterator[Yielded]:
    for start in range(0, len(indexes), AT_ONCE):
        if start:
            yield Breathe(start, len(indexes))
        some = Slice(view)
        piece = indexes[start : start + AT_ONCE]
        known = view.threading
        if len(known) > MAX_REMEMBERED:
            known.clear()
        for at, row in some.rows([at for at in piece if view.messages[at] not in known]):
            known[row.message] = told(row, partial(_header, some, at))
        for at in piece:
            if (found := known.get(view.messages[at])) is not None:
                out.append(Message(view.uids[at] if uid else at + 1, at, found))


def _header(some: Slice, at: int) -> bytes:
    return some.content(at).read(0, MAX_HEADER)


def told(row: Row, header: Callable[[], bytes]) -> Told:
    """What a row says, `header` when the one that is kept was too long."""
    read = envelope(row.envelope)
    block = row.header or header()
    ids: tuple[str, ...] = ()
    if (match := _REFERENCES.search(b"\n" + block)) is not None:
        ids = message_ids(match[1].decode("utf-8", "surrogateescape"))
    ids = ids or message_ids(read.in_reply_to)[:1]
    own = message_ids(read.message_id)
    subject = decode(read.subject)
    return Told(
        row.sent if row.sent is not None else row.received,
        row.received,
        folded(base_subject(subject)),
        is_reply(subject),
        own[0] if own else "",
        ids[-MAX_REFERENCES:],
    )


def ordered_subject(messages: Sequence[Message]) -> list[Node]:
    """Messages of a base subject, by date; the first is the root, all others are its children."""
    groups: dict[str, list[Message]] = {}
    for one in sorted(messages, key=lambda m: (m.told.sent, m.order)):
        groups.setdefault(one.told.subject, []).append(one)
    roots = []
    for members in groups.values():
        root = Node(members[0].number, members[0].told.sent)
        root.children = [Node(one.number, one.told.sent) for one in members[1:]]
        roots.append(root)
    return roots


def references(messages: Sequence[Message]) -> list[Node]:
    """REFERENCES, all six steps"""
    roots = _gathered(_by_date(_pruned(_linked(messages))))
    return _by_date(roots)


def refs(messages: Sequence[Message]) -> list[Node]:
    """REFS: no subjects; threads by their newest message"""
    roots = _by_date(_pruned(_linked(messages)))
    newest = {id(root): max(node.arrived for node in _all(root)) for root in roots}
    return sorted(roots, key=lambda root: newest[id(root)])


ALGORITHMS: dict[str, Callable[[Sequence[Message]], list[Node]]] = {
    "ORDEREDSUBJECT": ordered_subject,
    "REFERENCES": references,
    "REFS": refs,
}


def _linked(messages: Sequence[Message]) -> list[Node]:
    """Step 1: everybody below whom they refer to; all that have nobody above them."""
    known: dict[str, Node] = {}
    every: list[Node] = []

    def node_of(name: str) -> Node:
        if name not in known:
            known[name] = Node()
            every.append(known[name])
        return known[name]

    for message in messages:
        one = message.told
        node = known.get(one.id) if one.id else None
        if node is None or node.number:  # without an id, or with one that another has: it stands for itself
            node = Node()
            every.append(node)
            if one.id and one.id not in known:
                known[one.id] = node
        node.number, node.sent, node.arrived = message.number, one.sent, one.arrived
        node.subject, node.reply = one.subject, one.reply
        above: Node | None = None
        for name in one.references:
            link = node_of(name)
            if above is not None and link.parent is None:
                _place(link, above)
            above = link
        # What a message says of itself counts more than what others say of it.
        if above is not None and above is not node.parent:
            _place(node, above)
    for node in every:
        if node.parent is not None:
            node.parent.children.append(node)
    return [node for node in every if node.parent is None]


def _place(node: Node, above: Node) -> None:
    if not _is_above(node, above):
        node.parent = above
        above.has_below = True


def _is_above(node: Node, other: Node | None) -> bool:
    """Is `node` the other, or above it?  Or may be: of chains that are too long only so much is looked at."""
    if node is other:
        return True
    if not node.has_below:
        return False
    for _ in range(MAX_DEPTH):
        if other is None:
            return False
        if other is node:
            return True
        other = other.parent
    return other is not None


def _all(root: Node) -> Iterator[Node]:
    todo = [root]
    while todo:
        node = todo.pop()
        yield node
        todo += node.children


def _pruned(roots: list[Node]) -> list[Node]:
    """Step 3: those who are not here go, and their children take their place, but at the top only if it is one."""
    order: list[Node] = []
    for root in roots:
        order += _all(root)
    for node in reversed(order):  # children before their parents
        kept: list[Node] = []
        for child in node.children:
            kept += [child] if child.number else child.children
        node.children = kept
    found = []
    for root in roots:
        if root.number or len(root.children) > 1:
            found.append(root)
        else:
            found += root.children
    return found


def _date(node: Node) -> float:
    return node.sent if node.number or not node.children else node.children[0].sent


def _number(node: Node) -> int:
    return node.number if node.number or not node.children else node.children[0].number


def _by_date(roots: list[Node]) -> list[Node]:
    """Steps 4 and 6: by sent date, then number, at every level; who is not here has the date of the first child."""
    order: list[Node] = []
    for root in roots:
        order += _all(root)
    for node in reversed(order):
        node.children.sort(key=lambda one: (_date(one), _number(one)))
    return sorted(roots, key=lambda one: (_date(one), _number(one)))


def _subject(node: Node) -> tuple[str, bool]:
    one = node if node.number or not node.children else node.children[0]
    return one.subject, one.reply


def _gathered(roots: list[Node]) -> list[Node]:
    """Step 5: threads with one base subject become one."""
    table: dict[str, Node] = {}
    for root in roots:
        subject, reply = _subject(root)
        there = table.get(subject)
        if subject and (
            there is None or (there.number and not root.number) or (_subject(there)[1] and not reply and there.number)
        ):
            table[subject] = root
    gone: set[int] = set()
    for at, root in enumerate(roots):
        subject, reply = _subject(root)
        there = table.get(subject) if subject else None
        if there is None or there is root:
            continue
        if not there.number and not root.number:
            there.children += root.children
        elif not there.number or (reply and not _subject(there)[1]):
            there.children.append(root)
        else:
            # Neither answers the other: side by side, below nobody, where the first stood.
            both = Node(children=[there, root])
            roots[next(i for i, one in enumerate(roots) if one is there)] = both
            table[subject] = both
        gone.add(at)
    return [root for at, root in enumerate(roots) if at not in gone]


def shown(root: Node) -> bytes:
    """thread-list"""
    out: list[bytes] = []
    # What is still to be written: text, or a node that begins a list or goes on with one.
    todo: list[bytes | tuple[Node, bytes]] = [b")", (root, b"(")]
    while todo:
        one = todo.pop()
        if isinstance(one, bytes):
            out.append(one)
            continue
        node, before = one
        if node.number:
            out.append(before + b"%d" % node.number)
        else:
            out.append(before.removesuffix(b" "))
        if len(node.children) == 1:
            todo.append((node.children[0], b" " if node.number else b""))
        elif node.children:
            if node.number:
                out.append(b" ")
            for child in reversed(node.children):
                todo += [b")", (child, b"(")]
    return b"".join(out)
