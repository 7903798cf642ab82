"""mox_store's values as mox_imap's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import mox_imap
import mox_store
from moxd.imap_pending import Mapped


def test_a_callback_is_given_what_it_was_added_to() -> None:
    """A session compares it with what it waits for; given anything else, it waits for ever."""

    async def told() -> tuple[Any, Any]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        pending, seen = Mapped(future, str), []
        pending.add_done_callback(seen.append)
        future.set_result(7)
        await asyncio.sleep(0)
        return pending, seen

    pending, seen = asyncio.run(told())
    assert seen == [pending]
    assert pending.result() == "7"


@pytest.mark.parametrize(
    "error, code",
    [
        (mox_store.MailboxError("TRYCREATE", "no such mailbox"), "TRYCREATE"),
        (mox_store.StoreError("disk"), "SERVERBUG"),
    ],
)
def test_the_stores_errors_are_responses(error: Exception, code: str) -> None:
    async def outcome() -> Any:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_exception(error)
        return Mapped(future).result()

    with pytest.raises(mox_imap.BackendError) as raised:
        asyncio.run(outcome())
    assert raised.value.code == code
