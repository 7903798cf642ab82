"""A message into an account: for what comes in, for the queue's local courier, for whoever else has one.

What IMAP will be asked for is made here, once: ENVELOPE and BODYSTRUCTURE as final bytes, the header lines that
clients want, subject, preview, date."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import mox_imap
import mox_message
import mox_store


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message ready to be stored: its bytes, what was precomputed, when it came.

    `separator` ends our prefix: an empty line where the sender wrote no header at all, so that text stays text."""

    content: mox_message.Content
    traits: mox_store.Traits
    received: float
    separator: bytes = b""


def parcel(content: mox_message.Content, part: mox_message.Part, received: float) -> Parcel:
    """Makes the traits of a parsed message."""
    headless = part.body_start == part.header_start and content.size > 0
    return Parcel(content, traits_of(content, part), received, b"\r\n" if headless else b"")


def traits_of(content: mox_message.Content, part: mox_message.Part) -> mox_store.Traits:
    """What the store keeps ready for IMAP, made from the message as the sender wrote it."""
    fields = part.fields
    return mox_store.Traits(
        envelope=mox_imap.structure.envelope(part),
        bodystructure=mox_imap.structure.bodystructure(part),
        header=mox_imap.structure.trimmed_header(fields),
        subject=mox_message.decoded_subject(fields),
        preview=mox_message.preview(part, content),
        sent=mox_message.sent_date(fields),
        message_id=mox_message.message_id(fields),
        references=mox_message.references(fields),
    )


def remade(content: mox_message.Content) -> mox_store.Traits:
    """The traits of a stored message that has none yet (it was imported), or those of an older version."""
    return traits_of(content, mox_message.parse(content))


async def into(
    account: mox_store.Account,
    mailbox: str,
    what: Parcel,
    *,
    prefix: bytes,
    decision: tuple[int, bytes],
    mark_of: Callable[[mox_store.Mailbox], mox_store.Mark | None] = lambda mailbox: None,
) -> mox_store.Added:
    """Stores the message; returns when it would survive a power cut.  `mark_of` says what its mailbox says of it.
    Raises StoreError."""
    staged = await account.stage(what.content) if what.content.size > mox_store.BLOB_LIMIT else None
    message = mox_store.NewMessage(
        content=what.content,
        traits=what.traits,
        received=what.received,
        prefix=prefix + what.separator,
        staged=staged,
        decision=decision,
    )

    def run(tx: mox_store.Transaction) -> mox_store.Added:
        target = tx.mailbox_or_new(mailbox)
        mark = mark_of(target)
        return tx.add(target, replace(message, flags=mark.keywords) if mark else message)

    stored: Awaitable[mox_store.Added] = account.commit(run)
    return await stored
