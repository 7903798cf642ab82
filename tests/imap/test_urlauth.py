"""URLs of messages, and those that others may use (RFC 5092, RFC 4467, RFC 5524)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.imap_rooms import CLOCK, Room, message
from kit.play_imap import Client
from mox_imap.urls import Access, MessageUrl, UrlSyntaxError

URLS = {
    "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.2": MessageUrl("Drafts", 20, 385759045, "1.2"),
    "/INBOX/;uid=3": MessageUrl("INBOX", 3),
    ";uid=3/;section=HEADER": MessageUrl("", 3, section="HEADER"),
    "/a/b/;UID=1/;PARTIAL=5.10": MessageUrl("a/b", 1, start=5, length=10),
    "/a/;UID=1/;SECTION=TEXT/;PARTIAL=5": MessageUrl("a", 1, section="TEXT", start=5),
    "imap://ann@h.example:143/Gr%C3%BC%20n/;UID=1": MessageUrl("Grü n", 1, user="ann", host="h.example:143"),
    "imap://ann%40x;AUTH=*@h/a/;UID=1": MessageUrl("a", 1, user="ann@x", host="h"),
    "imap://h/a/;UID=1;URLAUTH=anonymous": MessageUrl(
        "a", 1, host="h", access=Access("anonymous", "imap://h/a/;UID=1;URLAUTH=anonymous")
    ),
    "imap://h/a/;UID=1;EXPIRE=1970-01-01T00:01:00Z;URLAUTH=user+ann:INTERNAL:" + "ab" * 16: MessageUrl(
        "a", 1, host="h",
        access=Access("user+ann", "imap://h/a/;UID=1;EXPIRE=1970-01-01T00:01:00Z;URLAUTH=user+ann", 60.0, "INTERNAL",
                      "ab" * 16),
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", URLS)
def test_urls(text: str) -> None:
    assert MessageUrl.parse(text) == URLS[text]


@pytest.mark.parametrize(
    "text",
    ["", "/a", "/a/;UID=0", "/a/;UID=x", "http://h/a/;UID=1", "/%FF/;UID=1", "/a%00/;UID=1", "/é/;UID=1", "/a/;UID=1;x",
     "imap://h/a/;UID=1;EXPIRE=never;URLAUTH=anonymous", "/a/;UID=99999999999", "/" + "a" * 9000 + "/;UID=1", "imap://"],
)  # fmt: skip
def test_no_urls(text: str) -> None:
    with pytest.raises(UrlSyntaxError):
        MessageUrl.parse(text)


@settings(deadline=None)
@given(st.text(st.sampled_from("imap:/;uidUID=1section%C3.partial@h+EXPIRE"), max_size=60))
def test_only_its_own_error(text: str) -> None:
    for one in (text, "/a/;uid=1" + text, "imap://h/a/;UID=1" + text):
        try:
            MessageUrl.parse(one)
        except UrlSyntaxError:
            pass


def room() -> Room:
    made = Room(message("one", "first"), message("two", "second"))
    made.backend.add("bob", "secret")
    return made


def generate(client: Client, url: str) -> str:
    said = client.ask(f'a GENURLAUTH "{url}" INTERNAL')
    match = re.match(r'\* GENURLAUTH "(.*)"\Z', said[0])
    assert match is not None, said
    return match[1]


def bob(made: Room) -> Client:
    client = made.session()
    client.ask("x LOGIN bob secret")
    return client


@pytest.mark.parametrize(
    "access, ann, other",
    [("anonymous", True, True), ("authuser", True, True), ("user+ann", True, False), ("user+bob", False, True),
     ("submit+ann", False, False)],
)  # fmt: skip
def test_who_may_read(access: str, ann: bool, other: bool) -> None:
    made = room()
    url = generate(made.logged_in(), f"imap://ann@imap.example/INBOX/;uid=1/;section=TEXT;urlauth={access}")
    for client, may in ((made.logged_in(), ann), (bob(made), other)):
        want = '"first\\r\\n"' if may else "NIL"
        assert client.ask(f'b URLFETCH "{url}"')[0] == f"* URLFETCH {url} {want}"


def test_what_is_void() -> None:
    made = room()
    ann, other = made.logged_in(), bob(made)
    url = generate(ann, "imap://ann@h/INBOX/;uid=1;urlauth=authuser")
    assert "NIL" not in other.ask(f'b URLFETCH "{url}"')[0]
    for bad in (url.replace("uid=1", "uid=2"), url[:-1] + ("0" if url[-1] != "0" else "1"), url[: url.index(":internal")],
                url.replace("ann@", "bob@"), url.replace("ann@", "nobody@"), "nonsense"):  # fmt: skip
        assert other.ask(f'b URLFETCH "{bad}"')[0] == f"* URLFETCH {bad} NIL"
    gone = generate(ann, "imap://ann@h/INBOX/;uid=9;urlauth=authuser")
    assert other.ask(f'b URLFETCH "{gone}"')[0].endswith(" NIL")
    assert ann.ask("c RESETKEY INBOX INTERNAL")[-1].startswith("c OK [URLMECH INTERNAL]")
    assert other.ask(f'b URLFETCH "{url}"')[0].endswith(" NIL")
    assert ann.ask("c RESETKEY")[-1].startswith("c OK")
    assert ann.ask("c RESETKEY Nowhere")[-1].startswith("c NO")


def test_expiry() -> None:
    made = room()
    assert CLOCK < 1_700_000_001
    for when, valid in (("2023-11-14T22:13:21Z", True), ("2023-11-14T22:13:19Z", False)):
        url = generate(made.logged_in(), f"imap://ann@h/INBOX/;uid=1;EXPIRE={when};urlauth=authuser")
        assert (" NIL" in bob(made).ask(f'b URLFETCH "{url}"')[0]) != valid


@pytest.mark.parametrize(
    "arguments",
    ["", '"imap://bob@h/INBOX/;uid=1;urlauth=authuser" INTERNAL', '"imap://ann@h/INBOX/;uid=1" INTERNAL',
     '"/INBOX/;uid=1;urlauth=authuser" INTERNAL', '"imap://ann@h/INBOX/;uid=1;urlauth=authuser" XSOME',
     '"imap://ann@h/INBOX/;uid=1;urlauth=authuser"'],
)  # fmt: skip
def test_what_is_not_signed(arguments: str) -> None:
    assert room().logged_in().ask(f"a GENURLAUTH {arguments}".rstrip())[-1].startswith("a BAD")


def test_the_part_and_its_structure() -> None:
    made = Room(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n"
    )
    client = made.logged_in()
    url = generate(client, "imap://ann@h/INBOX/;uid=1/;section=1;urlauth=user+ann")
    client.raw.clear()
    client.ask(f'b URLFETCH ("{url}" BINARY BODYPARTSTRUCTURE)')
    assert client.raw[0].endswith(
        b'(BODYPARTSTRUCTURE ("IMAGE" "PNG" NIL NIL NIL "BINARY" 3 NIL NIL NIL NIL)) (BINARY ~{3}\r\n\x00\x01\x02)'
    )
    assert client.ask(f'b URLFETCH ("{url}" BODY BINARY)')[-1].startswith("b BAD")
    client.ask(f'b URLFETCH ("{url}")')
    assert client.raw[-2].endswith(b"(BODY {4}\r\nAAEC)")
