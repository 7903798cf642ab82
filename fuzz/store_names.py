"""Names from hostile texts: of mailboxes, annotations, accounts and archive members.  Only the declared errors, and
what is taken leads nowhere else.

python fuzz/store_names.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

from pathlib import PurePosixPath

from mox_store import MailboxError
from mox_store.account import is_account_name
from mox_store.changes import from_text, to_text
from mox_store.importing import _member_mailbox
from mox_store.mailbox import canonical, check_name
from mox_store.mailboxes import annotation_name


def fuzz(data: bytes) -> None:
    """One input."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        check_name(canonical(text))
    except MailboxError:
        pass
    else:
        assert canonical(canonical(text)) == canonical(text)
        assert ".." not in text.split("/")
    try:
        name = annotation_name(text)
    except MailboxError:
        pass
    else:
        assert annotation_name(name) == name
    if is_account_name(text):
        assert len(PurePosixPath(text).parts) == 1
        assert text not in (".", "..")
    _member_mailbox(text)
    uids = sorted(set(data))
    if uids and uids[0] > 0:
        assert from_text(to_text(uids)) == tuple(uids)


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
