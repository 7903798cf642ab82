"""Operations on mailboxes: making, renaming, subscribing; keywords, annotations, rights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from mox_store.changes import Kind
from mox_store.ground import Ground, read_mailbox
from mox_store.mailbox import SPECIAL_USES, Mailbox, MailboxError, canonical, check_name

# Limits of annotations (RFC 5464 4.2.1 and 4.3: METADATA MAXSIZE and TOOMANY).
MAX_ANNOTATION = 64 * 1024
MAX_ANNOTATIONS = 1000
MAX_ANNOTATION_NAME = 255


class MailboxOperations(Ground, ABC):
    """The half of a transaction that is about mailboxes."""

    @abstractmethod
    def expunge(
        self, mailbox: Mailbox, uids: Sequence[int] | None, *, only_deleted: bool = True
    ) -> tuple[int, ...]: ...

    @abstractmethod
    def move(self, source: Mailbox, uids: Sequence[int], target: Mailbox) -> list[tuple[int, int]]: ...

    def mailbox(self, name: str) -> Mailbox:
        """The mailbox of that name.  Raises MailboxError."""
        found = read_mailbox(self._asked, name=name)
        if found is None:
            raise MailboxError("NONEXISTENT", f"no mailbox {name!r}")
        return found

    def mailbox_by_id(self, id: int) -> Mailbox:
        """The mailbox with that id.  Raises MailboxError."""
        found = read_mailbox(self._asked, id=id)
        if found is None:
            raise MailboxError("NONEXISTENT", "the mailbox is gone")
        return found

    def mailbox_or_new(self, name: str) -> Mailbox:
        """The mailbox of that name, made if it is not there."""
        return read_mailbox(self._asked, name=name) or self.create(name)

    def create(self, name: str, special: str = "") -> Mailbox:
        """Makes a mailbox, and those above it; others have the rights in it that they have in the one above.

        Raises MailboxError."""
        name = canonical(name)
        check_name(name)
        if read_mailbox(self._asked, name=name) is not None:
            raise MailboxError("ALREADYEXISTS", f"there is a mailbox {name!r} already")
        special = self._special(special)
        above, slash, _ = name.rpartition("/")
        if slash and read_mailbox(self._asked, name=above) is None:
            self.create(above)
        modseq = self._modseq()
        uidvalidity = self._uidvalidity()
        cursor = self._db.execute(
            "INSERT INTO mailbox(name,uidvalidity,modseq,special,createseq) VALUES(?,?,?,?,?)",
            (name, uidvalidity, modseq, special, modseq),
        )
        self._db.execute("INSERT OR IGNORE INTO subscription VALUES(?)", (name,))
        assert cursor.lastrowid is not None
        if slash:
            self._db.execute(
                "INSERT INTO acl SELECT ?,who,rights FROM acl WHERE mailbox=(SELECT id FROM mailbox WHERE name=?)",
                (cursor.lastrowid, above),
            )
        self._note(modseq, cursor.lastrowid, Kind.MAILBOXES)
        return Mailbox(cursor.lastrowid, name, uidvalidity, 1, modseq, special, True, (), 0, 0, 0, 0, modseq)

    def _uidvalidity(self) -> int:
        """Never given twice in this account, and never below the clock, so that a restored account differs too."""
        (number,) = self._db.execute(
            "UPDATE fact SET value=max(value+1,?) WHERE name='uidvalidity' RETURNING value", (int(self._now),)
        ).fetchone()
        return int(number)

    def renumber(self) -> None:
        """A new UIDVALIDITY for every mailbox: after a restore, clients read everything anew."""
        for (id,) in self._db.execute("SELECT id FROM mailbox ORDER BY id").fetchall():
            self._db.execute("UPDATE mailbox SET uidvalidity=? WHERE id=?", (self._uidvalidity(), id))

    def delete(self, name: str) -> None:
        """Removes a mailbox and its entries.  Raises MailboxError."""
        mailbox = self.mailbox(name)
        if mailbox.name == "Inbox":
            raise MailboxError("CANNOT", "the Inbox cannot be deleted")
        (children,) = self._db.execute(
            "SELECT count(*) FROM mailbox WHERE name GLOB ?", (_glob(mailbox.name) + "/*",)
        ).fetchone()
        if children:
            raise MailboxError("HASCHILDREN", f"{mailbox.name!r} has mailboxes below it; delete those first")
        uids = [row[0] for row in self._db.execute("SELECT uid FROM entry WHERE mailbox=?", (mailbox.id,))]
        self.expunge(mailbox, uids, only_deleted=False)
        for table in ("annotation", "acl"):
            self._db.execute(f"DELETE FROM {table} WHERE mailbox=?", (mailbox.id,))  # noqa: S608
        self._db.execute("DELETE FROM mailbox WHERE id=?", (mailbox.id,))
        self._note(self._modseq(), mailbox.id, Kind.MAILBOXES)

    def rename(self, old: str, new: str) -> None:
        """Renames a mailbox and those below it; the Inbox gives its messages away (RFC 9051 6.3.6)."""
        source, new = self.mailbox(old), canonical(new)
        check_name(new)
        if read_mailbox(self._asked, name=new) is not None:
            raise MailboxError("ALREADYEXISTS", f"there is a mailbox {new!r} already")
        if new.startswith(source.name + "/"):
            raise MailboxError("CANNOT", "a mailbox cannot move below itself")
        if source.name == "Inbox":
            target = self.create(new)
            self.move(
                source,
                [row[0] for row in self._db.execute("SELECT uid FROM entry WHERE mailbox=?", (source.id,))],
                target,
            )
            return
        above, slash, _ = new.rpartition("/")
        if slash and read_mailbox(self._asked, name=above) is None:
            self.create(above)
        modseq = self._modseq()
        below = self._db.execute(
            "SELECT id,name FROM mailbox WHERE id=? OR name GLOB ?", (source.id, _glob(source.name) + "/*")
        ).fetchall()
        for number, name in below:
            renamed = new + name[len(source.name) :]
            check_name(renamed)
            self._db.execute("UPDATE mailbox SET name=?,modseq=? WHERE id=?", (renamed, modseq, number))
            if self._db.execute("DELETE FROM subscription WHERE name=?", (name,)).rowcount:
                self._db.execute("INSERT OR IGNORE INTO subscription VALUES(?)", (renamed,))
        self._note(modseq, source.id, Kind.MAILBOXES)

    def subscribe(self, name: str, wanted: bool) -> None:
        """Subscribes or unsubscribes a name."""
        name = canonical(name)
        if wanted:
            check_name(name)
            self._db.execute("INSERT OR IGNORE INTO subscription VALUES(?)", (name,))
        else:
            self._db.execute("DELETE FROM subscription WHERE name=?", (name,))
        self._db.execute("UPDATE mailbox SET subscribed=? WHERE name=?", (wanted, name))
        self._note(self._modseq(), 0, Kind.MAILBOXES)

    def learn(self, mailbox: Mailbox, flags: Sequence[str]) -> Mailbox:
        """`mailbox`, knowing all keywords among `flags`.  Raises MailboxError when it would know too many."""
        unknown = mailbox.unknown(tuple(flags)) if flags else []
        if not unknown:
            return mailbox
        fresh = read_mailbox(self._asked, id=mailbox.id)
        if fresh is None:
            raise MailboxError("NONEXISTENT", f"no mailbox {mailbox.name!r}")
        unknown = fresh.unknown(tuple(flags))
        if not unknown:
            return fresh
        if len(unknown) > fresh.room_for_keywords:
            raise MailboxError("LIMIT", "a mailbox can have at most 57 keywords")
        keywords = (*fresh.keywords, *unknown)
        self._db.execute("UPDATE mailbox SET keywords=? WHERE id=?", (" ".join(keywords), fresh.id))
        learned = read_mailbox(self._asked, id=mailbox.id)
        assert learned is not None
        return learned

    # -- annotations and rights

    def annotate(self, mailbox: Mailbox | None, name: str, value: bytes | None) -> None:
        """Sets or (None) removes an annotation of a mailbox, or of the account.  Raises MailboxError."""
        number, name = (mailbox.id if mailbox is not None else 0), annotation_name(name)
        if value is None:
            changed = self._db.execute("DELETE FROM annotation WHERE mailbox=? AND name=?", (number, name)).rowcount
            if not changed:
                return
        else:
            if len(value) > MAX_ANNOTATION:
                raise MailboxError(
                    f"METADATA MAXSIZE {MAX_ANNOTATION}", f"an annotation has at most {MAX_ANNOTATION} bytes"
                )
            (others,) = self._db.execute(
                "SELECT count(*) FROM annotation WHERE mailbox=? AND name<>?", (number, name)
            ).fetchone()
            if others >= MAX_ANNOTATIONS:
                raise MailboxError("METADATA TOOMANY", f"there are {MAX_ANNOTATIONS} annotations already")
            self._db.execute("INSERT OR REPLACE INTO annotation VALUES(?,?,?)", (number, name, value))
        modseq = self._modseq()
        self._db.execute("UPDATE mailbox SET modseq=? WHERE id=?", (modseq, number))
        self._note(modseq, number, Kind.ANNOTATIONS)

    def set_special(self, mailbox: Mailbox, special: str) -> None:
        """Gives a mailbox a special use, or "" for none.  Raises MailboxError("USEATTR")."""
        self._db.execute("UPDATE mailbox SET special=? WHERE id=?", (self._special(special), mailbox.id))
        modseq = self._modseq()
        self._db.execute("UPDATE mailbox SET modseq=? WHERE id=?", (modseq, mailbox.id))
        self._note(modseq, mailbox.id, Kind.MAILBOXES)

    def _special(self, special: str) -> str:
        """Checked; the mailbox that had a use gives it up, because a use names one mailbox."""
        uses = [SPECIAL_USES.get(use.lower(), "") for use in special.split()]
        if "" in uses:
            raise MailboxError("USEATTR", f"{special} is no special use; there are {' '.join(SPECIAL_USES.values())}")
        for use in uses:
            others = self._db.execute("SELECT id,special FROM mailbox WHERE special LIKE ?", (f"%{use}%",)).fetchall()
            for number, had in others:
                left = " ".join(one for one in had.split() if one != use)
                self._db.execute("UPDATE mailbox SET special=? WHERE id=?", (left, number))
        return " ".join(uses)

    def rights(self, mailbox: int) -> dict[str, str]:
        """Who else may do what in a mailbox (RFC 4314)."""
        return dict(self._db.execute("SELECT who,rights FROM acl WHERE mailbox=? ORDER BY who", (mailbox,)))

    def set_rights(self, mailbox: Mailbox, who: str, rights: Collection[str]) -> None:
        """What somebody else may do in a mailbox (RFC 4314 letters); nothing removes the entry."""
        if rights:
            value = "".join(sorted(set(rights)))
            self._db.execute("INSERT OR REPLACE INTO acl VALUES(?,?,?)", (mailbox.id, who, value))
        else:
            self._db.execute("DELETE FROM acl WHERE mailbox=? AND who=?", (mailbox.id, who))
        self._note(self._modseq(), mailbox.id, Kind.MAILBOXES)

    def set_sharer(self, account: str, shares: bool) -> None:
        """Another account has, or has no longer, something that this one may see."""
        if shares:
            changed = self._db.execute("INSERT OR IGNORE INTO sharer VALUES(?)", (account,)).rowcount
        else:
            changed = self._db.execute("DELETE FROM sharer WHERE account=?", (account,)).rowcount
        if changed:
            self._note(self._modseq(), 0, Kind.MAILBOXES)


def _glob(name: str) -> str:
    """`name` for GLOB, with its wildcards taken literally."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def annotation_name(name: str) -> str:
    """An annotation's name as it is kept (RFC 5464 3.2: any case is the same).  Raises MailboxError."""
    folded = name.lower()
    parts = folded.split("/")
    fine = len(parts) >= 3 and parts[0] == "" and parts[1] in ("private", "shared") and all(parts[2:])
    if not fine or len(folded) > MAX_ANNOTATION_NAME or any(not " " < c < "\x7f" or c in "*%" for c in folded):
        raise MailboxError("CANNOT", f"an annotation is named /private/… or /shared/…, in ASCII, not {name[:80]!r}")
    return folded
