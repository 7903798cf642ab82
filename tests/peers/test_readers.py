"""curl, mbsync, neomutt, imaplib and IMAPClient read, and find nothing to complain about."""

from __future__ import annotations

import hashlib
import imaplib
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from imapclient import IMAPClient

from kit.processes import program
from kit.server import PASSWORD, Moxd, configure, moxd
from kit.stubdns import stub_dns
from kit.suitemail import suite_messages
from kit.world import mailbox, trusting

pytestmark = [pytest.mark.peers, pytest.mark.xdist_group("readers"), pytest.mark.timeout(180)]

COUNT = 1000


@contextmanager
def running(folder: Path) -> Iterator[Moxd]:
    with stub_dns() as dns:
        ports = configure(folder, dns=dns, workers=2, extra="connections_per_minute = 0")
        with moxd(folder, ports) as server:
            yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moxd]:
    with running(tmp_path_factory.mktemp("readers") / "moxd") as found:
        yield found


def fill(server: Moxd, name: str, messages: list[bytes], flags: list[str]) -> None:
    """Puts messages into a mailbox, many in one command (MULTIAPPEND)."""
    client = imaplib.IMAP4_SSL(server.address, server.ports["imaps"], ssl_context=trusting(server), timeout=60)
    client.login("you@mox.test", PASSWORD)
    client.create(name)
    for at in range(0, len(messages), 100):
        parts = [b"x APPEND %s" % name.encode()]
        for message, flag in zip(messages[at : at + 100], flags[at : at + 100], strict=True):
            parts.append(b" (%s) {%d+}\r\n%s" % (flag.encode(), len(message), message))
        client.send(b"".join(parts) + b"\r\n")
        line = client.readline()
        while not line.startswith(b"x "):
            line = client.readline()
        assert line.startswith(b"x OK"), line
    client.logout()


def numbered(count: int) -> list[bytes]:
    """Real-shaped messages, each with a subject of its own."""
    # mbsync leaves messages alone whose header does not end.
    bodies = [
        message
        for message in suite_messages().values()
        if re.match(rb"[!-9;-~]+:[^\r]*\r\n", message) and b"\r\n\r\n" in message
    ]
    return [
        b"X-Number: %d\r\nMessage-ID: <%d@readers.test>\r\n" % (n, n) + bodies[n % len(bodies)] for n in range(count)
    ]


# -- curl


def curl(server: Moxd, path: str, *arguments: str, scheme: str = "imaps") -> bytes:
    done = subprocess.run(
        [
            program("curl", "curl"), "--silent", "--show-error", "--cacert", str(server.ca), "--user", f"you@mox.test:{PASSWORD}",
            *arguments, f"{scheme}://{server.address}:{server.ports[scheme]}/{path}",
        ],
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize(
    "how", [("imaps",), ("imap", "--ssl-reqd"), ("imaps", "--login-options", "AUTH=PLAIN")], ids=" ".join
)
def test_curl(server: Moxd, how: tuple[str, ...], tmp_path: Path) -> None:
    scheme, *options = how
    name = f"Curl{len(options)}{scheme}"
    message = b"From: a@b.example\r\nSubject: by curl\r\n\r\nhello\r\n"
    (tmp_path / "message").write_bytes(message)
    curl(server, "", "-X", f"CREATE {name}", *options, scheme=scheme)
    curl(server, name, "-T", str(tmp_path / "message"), *options, scheme=scheme)
    assert f'"/" {name}'.encode() in curl(server, "", *options, scheme=scheme)
    assert curl(server, f"{name};MAILINDEX=1", *options, scheme=scheme) == message
    assert curl(server, f"{name};UID=1;SECTION=TEXT", *options, scheme=scheme) == b"hello\r\n"
    assert curl(server, f"{name}?SUBJECT%20curl", *options, scheme=scheme) == b"* SEARCH 1\r\n"


# -- mbsync

_MBSYNC = """\
IMAPAccount moxd
Host localhost
Port {port}
User you@mox.test
Pass "{password}"
{tls}
CertificateFile {ca}
AuthMechs {auth}

IMAPStore far
Account moxd

MaildirStore near
Path {folder}/mail/
Inbox {folder}/mail/Inbox
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns Sync
Create Both
Expunge Both
Remove Both
SyncState *
CopyArrivalDate yes
"""


def mbsync(server: Moxd, folder: Path) -> str:
    help_text = subprocess.run([program("mbsync", "isync"), "--version"], capture_output=True, text=True).stdout
    tls = "TLSType IMAPS" if re.search(r"isync (1\.[5-9]|[2-9])", help_text) else "SSLType IMAPS"
    folder.mkdir(exist_ok=True)
    (folder / "mail").mkdir(exist_ok=True)
    (folder / "mbsyncrc").write_text(
        _MBSYNC.format(
            port=server.ports["imaps"], password=PASSWORD, ca=server.ca, folder=folder, tls=tls, auth="LOGIN"
        )
    )
    done = subprocess.run(
        [program("mbsync", "isync"), "-c", str(folder / "mbsyncrc"), "-V", "all"],
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "warn" not in done.stderr.lower(), done.stderr
    return done.stdout


def far(server: Moxd) -> dict[int, tuple[str, frozenset[str]]]:
    """X-Number -> (hash of the message, flags) of every message of Sync."""
    with IMAPClient(server.address, server.ports["imaps"], ssl_context=trusting(server), timeout=60) as client:
        client.login("you@mox.test", PASSWORD)
        client.select_folder("Sync", readonly=True)
        found: dict[int, tuple[str, frozenset[str]]] = {}
        uids = client.search("ALL")
        for at in range(0, len(uids), 200):
            for row in client.fetch(uids[at : at + 200], ["BODY.PEEK[]", "FLAGS"]).values():
                whole = row[b"BODY[]"]
                number = int(re.search(rb"^X-Number: (\d+)", whole, re.MULTILINE)[1])  # type: ignore[index]
                assert number not in found, f"{number} is there twice"
                found[number] = (
                    digest(whole),
                    frozenset(flag.decode() for flag in row[b"FLAGS"] if flag != rb"\Recent"),
                )
        return found


_MAILDIR_FLAGS = {"S": r"\Seen", "R": r"\Answered", "F": r"\Flagged", "T": r"\Deleted", "D": r"\Draft"}


def digest(message: bytes) -> str:
    """Maildirs have LF, and mbsync may put X-TUID into the header."""
    plain = re.sub(rb"\r?\n", b"\n", message)
    return hashlib.sha256(re.sub(rb"^X-TUID: .*\n", b"", plain, flags=re.MULTILINE)).hexdigest()


def near(folder: Path) -> dict[int, tuple[str, frozenset[str]]]:
    found: dict[int, tuple[str, frozenset[str]]] = {}
    for path in [*(folder / "mail/Sync/cur").iterdir(), *(folder / "mail/Sync/new").iterdir()]:
        whole = path.read_bytes()
        number = int(re.search(rb"^X-Number: (\d+)", whole, re.MULTILINE)[1])  # type: ignore[index]
        assert number not in found, f"{number} is there twice"
        letters = path.name.partition(":2,")[2]
        found[number] = (
            digest(whole),
            frozenset(_MAILDIR_FLAGS[letter] for letter in letters if letter in _MAILDIR_FLAGS),
        )
    return found


def test_mbsync_both_ways_nothing_lost_or_doubled(server: Moxd, tmp_path: Path) -> None:
    flags = ["", r"\Seen", r"\Seen \Answered", r"\Flagged", r"\Seen \Flagged \Answered", r"\Draft"]
    fill(server, "Sync", numbered(COUNT), [flags[n % len(flags)] for n in range(COUNT)])
    mbsync(server, tmp_path / "s")
    assert len(near(tmp_path / "s")) == COUNT
    assert near(tmp_path / "s") == far(server)
    before = near(tmp_path / "s")
    mbsync(server, tmp_path / "s")
    assert near(tmp_path / "s") == before == far(server), "the second run changes nothing"
    # Both sides change: flags here and there, new mail here and there, some gone here and some there.
    cur = tmp_path / "s/mail/Sync/cur"
    paths = sorted([*cur.iterdir(), *(tmp_path / "s/mail/Sync/new").iterdir()], key=lambda p: number_of(p))
    for path in paths[:50]:
        path.rename(cur / (path.name.partition(":2,")[0] + ":2,FS"))
    for path in paths[50:80]:
        path.unlink()
    for number in range(5000, 5040):
        (tmp_path / "s/mail/Sync/new" / f"1700000000.{number}.here").write_bytes(
            b"X-Number: %d\nSubject: new here\n\nx\n" % number
        )
    client = mailbox(server, "Sync")
    client.store("101:150", "+FLAGS", r"(\Flagged \Seen)")
    client.store("151:180", "FLAGS", r"(\Deleted)")
    client.expunge()
    client.logout()
    fill(server, "Sync", [b"X-Number: %d\r\nSubject: new there\r\n\r\nx\r\n" % n for n in range(6000, 6040)], [""] * 40)
    mbsync(server, tmp_path / "s")
    assert len(far(server)) == COUNT - 30 - 30 + 40 + 40
    assert near(tmp_path / "s") == far(server)
    before = far(server)
    mbsync(server, tmp_path / "s")
    assert near(tmp_path / "s") == before == far(server)
    assert {r"\Flagged", r"\Seen"} <= before[0][1]
    assert {r"\Flagged", r"\Seen"} <= before[100][1]
    assert not {51, 79, 151, 179} & before.keys()


def number_of(path: Path) -> int:
    return int(re.search(rb"^X-Number: (\d+)", path.read_bytes(), re.MULTILINE)[1])  # type: ignore[index]


# -- neomutt


def neomutt(server: Moxd, folder: Path, *commands: str, name: str = "Mutt") -> None:
    """Runs neomutt without a terminal: it opens the mailbox, does `commands`, and leaves."""
    folder.mkdir(exist_ok=True)
    (folder / "muttrc").write_text(
        f'set my_base="imaps://{server.address}:{server.ports["imaps"]}"\nset folder=$my_base\n'
        f'set imap_user="you@mox.test"\nset imap_pass="{PASSWORD}"\nset ssl_ca_certificates_file="{server.ca}"\n'
        f'set certificate_file="{server.ca}"\nset ssl_verify_host=no\nset ssl_force_tls=yes\n'
        "set timeout=1\nset mail_check=1\nset wait_key=no\nset quit=yes\nset delete=yes\nset move=no\nset confirmappend=no\n"
        f'set confirmcreate=no\nset header_cache="{folder}/cache"\nset sleep_time=0\nset realname="You"\nset from="you@mox.test"\n'
        "set sort=mailbox-order\nset resolve=no\n"
    )
    pushed = "".join(commands) + "<sync-mailbox><exit>"
    done = subprocess.run(
        [
            "script", "-qec",
            f"TERM=xterm {program('neomutt', 'neomutt')} -n -F {folder}/muttrc -f imaps://{server.address}:{server.ports['imaps']}/{name} "
            f"-d 2 -l {folder}/log -e 'push \"{pushed}\"'",
            "/dev/null",
        ],
        capture_output=True, timeout=90, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


def test_neomutt_reads_flags_copies_and_deletes(server: Moxd, tmp_path: Path) -> None:
    fill(server, "Mutt", numbered(60), [""] * 60)
    client = mailbox(server, "Mutt")
    client.create("Saved")
    neomutt(
        server, tmp_path / "m",
        "<first-entry><set-flag>!", "<next-entry><display-message><exit>", "<next-entry><copy-message>=Saved<enter>",
        "<last-entry><delete-message>",
    )  # fmt: skip
    client.noop()
    assert client.search(None, "FLAGGED")[1] == [b"1"]
    assert b"2" in client.search(None, "SEEN")[1][0].split()
    assert client.select("Mutt")[1] == [b"59"]
    assert client.select("Saved")[1] == [b"1"]
    client.logout()
    log = "".join(path.read_text(errors="replace") for path in tmp_path.glob("m/log*"))
    assert not re.search(r"BAD|Error|error parsing", log), re.findall(r".*(?:BAD|[Ee]rror).*", log)[:5]


def test_neomutt_sends(server: Moxd, tmp_path: Path) -> None:
    (tmp_path / "rc").write_text(
        f'set smtp_url="smtps://you@mox.test@{server.address}:{server.ports["submissions"]}"\nset smtp_pass="{PASSWORD}"\n'
        f'set ssl_ca_certificates_file="{server.ca}"\nset certificate_file="{server.ca}"\nset ssl_verify_host=no\nset ssl_verify_dates=no\n'
        'set from="you@mox.test"\nset realname="You"\nset use_envelope_from=yes\nset copy=no\nset smtp_authenticators="scram-sha-256:plain"\n'
    )
    done = subprocess.run(
        ["script", "-qec", f"{program('neomutt', 'neomutt')} -n -F {tmp_path}/rc -s 'by neomutt' other@mox.test < /etc/hostname", "/dev/null"],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    from kit.world import newest

    assert b"Subject: by neomutt" in newest(server, "by neomutt", login="other@mox.test")


# -- Python's


def test_imaplib_from_end_to_end(server: Moxd) -> None:
    client = imaplib.IMAP4(server.address, server.ports["imap"], timeout=30)
    client.starttls(trusting(server))
    client.login("you@mox.test", PASSWORD)
    assert client.create("Lib/Sub")[0] == "OK"
    assert (
        client.list('""', "Lib/*")[1] == [b'(\\HasNoChildren) "/" Lib/Sub']
        or b"Lib/Sub" in client.list('""', "Lib/*")[1][0]
    )
    when = datetime(2020, 5, 17, 12, 0, 0, tzinfo=UTC)
    messages = list(suite_messages().values())[:40]
    for message in messages:
        typ, data = client.append("Lib/Sub", r"(\Seen)", imaplib.Time2Internaldate(when), message)
        assert typ == "OK"
        assert b"APPENDUID" in data[0]
    assert client.select("Lib/Sub") == ("OK", [b"40"])
    for number, message in enumerate(messages, 1):
        data = client.fetch(str(number), "(RFC822)")[1]
        assert data[0][1] == message  # type: ignore[index]
    assert b"17-May-2020 12:00:00 +0000" in client.fetch("1", "(INTERNALDATE)")[1][0]  # type: ignore[operator]
    assert client.uid("COPY", "1:10", "INBOX")[0] == "OK"
    assert client.store("1:5", "+FLAGS", r"(\Deleted)")[0] == "OK"
    assert len(client.expunge()[1]) == 5
    assert client.search(None, "SEEN", "NOT", "DELETED")[1][0].split() == [str(n).encode() for n in range(1, 36)]
    assert client.status("Lib/Sub", "(MESSAGES UIDNEXT UNSEEN)")[1][0].endswith(b"(MESSAGES 35 UIDNEXT 41 UNSEEN 0)")
    assert client.rename("Lib/Sub", "Lib/Other")[0] == "OK"
    assert client.close()[0] == "OK"
    assert client.delete("Lib/Other")[0] == "OK"
    assert client.logout()[0] == "BYE"


def test_imapclient_from_end_to_end(server: Moxd) -> None:
    with IMAPClient(server.address, server.ports["imaps"], ssl_context=trusting(server), timeout=30) as client:
        client.login("you@mox.test", PASSWORD)
        assert client.has_capability("IDLE")
        client.create_folder("Entwürfe & mehr")
        assert "Entwürfe & mehr" in [name for _, _, name in client.list_folders()]
        messages = list(suite_messages().values())[40:90]
        for message in messages:
            client.append("Entwürfe & mehr", message, flags=[rb"\Draft"], msg_time=datetime(2021, 1, 2, 3, 4, 5))
        client.select_folder("Entwürfe & mehr")
        uids = client.search(["DRAFT"])
        assert len(uids) == 50
        rows = client.fetch(uids, ["ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE", "BODY.PEEK[]", "INTERNALDATE"])
        for uid, message in zip(uids, messages, strict=True):
            assert rows[uid][b"BODY[]"] == message
            assert rows[uid][b"RFC822.SIZE"] == len(message)
        client.add_flags(uids[:10], [rb"\Flagged", b"$Forwarded"])
        assert client.search(["KEYWORD", "$Forwarded"]) == uids[:10]
        client.move(uids[:5], "INBOX")
        assert len(client.search("ALL")) == 45
        client.delete_messages(uids[5:7])
        client.uid_expunge(uids[5:7])
        assert len(client.search("ALL")) == 43
        client.idle()
        with IMAPClient(server.address, server.ports["imaps"], ssl_context=trusting(server), timeout=30) as other:
            other.login("you@mox.test", PASSWORD)
            other.append("Entwürfe & mehr", b"Subject: idle\r\n\r\nx\r\n")
            told = client.idle_check(timeout=20)
        assert (44, b"EXISTS") in told
        client.idle_done()
        client.delete_folder("Entwürfe & mehr")
