"""A message into an account: for what comes in, for the queue's local courier, for whoever else has one.

What IMAP will be asked for is made here, once: ENVELOPE and BODYSTRUCTURE as final bytes, the header lines that
clients want, subject, preview, date."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import mox_imap
import mox_message
import mox_store
from moxd.directory import Recipient


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message ready to be stored: its bytes, what we put in front, what was precomputed."""

    content: mox_message.Content
    traits: mox_store.Traits
    received: float


def parcel(content: mox_message.Content, part: mox_message.Part, received: float) -> Parcel:
    """Makes the traits of a parsed message."""
    return Parcel(content, traits_of(content, part), received)


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
    )


class Delivery:
    """Puts messages into accounts of this machine."""

    def __init__(self, store: mox_store.Store) -> None:
        self._store = store

    async def into(
        self,
        recipient: Recipient,
        parcel: Parcel,
        prefix: bytes,
        mailbox: str,
        flags: Sequence[str],
        decision: tuple[int, bytes],
    ) -> mox_store.Added:
        """Stores the message durably; returns when it would survive a power cut.  Raises StoreError."""
        account = self._store.open(recipient.account)
        staged = None
        if parcel.content.size > mox_store.BLOB_LIMIT:
            staged = await account.stage(parcel.content)
        message = mox_store.NewMessage(
            content=parcel.content,
            staged=staged,
            prefix=prefix,
            traits=parcel.traits,
            flags=tuple(flags),
            received=parcel.received,
            decision=decision,
        )
        return await account.commit(lambda tx: tx.add(tx.mailbox_for(mailbox), message))


async def all_of(deliveries: Sequence[asyncio.Future[mox_store.Added]]) -> list[mox_store.Added | BaseException]:
    """Waits for every delivery; failures as values."""
    return await asyncio.gather(*deliveries, return_exceptions=True)
