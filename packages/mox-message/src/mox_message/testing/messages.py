"""Whole messages, drawn together with the tree that they have.  Written by hand, not by mox_message.compose, so that
reader and writer are not tested by each other only.  Needs hypothesis."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader must find: `body` is the octets of the body as they are; of a multipart the `children`, of a
    message/rfc822 the one child."""

    media_type: str
    header: bytes
    body: bytes
    children: tuple[Wanted, ...] = ()

    @property
    def data(self) -> bytes:
        """The whole part: header, empty line, body."""
        return self.header + b"\r\n" + self.body


_LINES = st.lists(
    st.sampled_from(
        [b"", b"text", b"--", b"--x", b"-- ", b"--b", b"--b0x", b"a: b", b"=3D", b"From x", b".", b"\xff\xfe"]
    ),
    max_size=5,
)
_FIELDS = st.lists(
    st.sampled_from([b"Subject: a\r\n b\r\n", b"X-Y: z\r\n", b"From: a@b.example\r\n", b"Content-ID: <1@x>\r\n"]),
    max_size=2,
)


@st.composite
def _leaf(draw: st.DrawFn) -> Wanted:
    kind = draw(st.sampled_from(["text/plain", "text/html", "image/png", "application/octet-stream"]))
    header = b"".join(draw(_FIELDS)) + b"Content-Type: %b; charset=utf-8\r\n" % kind.encode()
    return Wanted(kind, header, b"\r\n".join(draw(_LINES)))


def _around(inner: st.SearchStrategy[Wanted]) -> st.SearchStrategy[Wanted]:
    return st.one_of(_multipart(inner), _message(inner))


@st.composite
def _message(draw: st.DrawFn, inner: st.SearchStrategy[Wanted]) -> Wanted:
    child = draw(inner)
    header = b"".join(draw(_FIELDS)) + b"Content-Type: message/rfc822\r\n"
    return Wanted("message/rfc822", header, child.data, (child,))


@st.composite
def _multipart(draw: st.DrawFn, inner: st.SearchStrategy[Wanted]) -> Wanted:
    children = tuple(draw(st.lists(inner, min_size=1, max_size=3)))
    # Longer than those within, so that no line within is its boundary; and one may begin with the other.
    depth = max(child.header.count(b"boundary") + child.body.count(b"boundary=") for child in children)
    boundary = b"b%d" % depth + b"x" * draw(st.integers(0, 3))
    while any(b"--" + boundary in child.data for child in children):
        boundary += b"y"
    header = b"".join(draw(_FIELDS)) + b'Content-Type: multipart/mixed; boundary="%b"\r\n' % boundary
    preamble = draw(st.sampled_from([b"", b"preamble\r\n", b"--\r\n"]))
    padding = draw(st.sampled_from([b"", b" ", b"\t "]))
    body = preamble + b"".join([b"--%b%b\r\n%b\r\n" % (boundary, padding, child.data) for child in children])
    body += b"--%b--%b" % (boundary, draw(st.sampled_from([b"", b"\r\n", b" \r\nepilogue\r\n"])))
    return Wanted("multipart/mixed", header, body, children)


def messages() -> st.SearchStrategy[Wanted]:
    """Well-formed messages with CRLF line ends."""
    return st.recursive(_leaf(), _around, max_leaves=8)
