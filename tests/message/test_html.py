from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_message import html_to_text
from mox_message.html import charset, pieces

TEXTS = {
    "words": ("Hello <b>you</b>\n  there", "Hello you there"),
    "entities": ("a&nbsp;&amp;&lt;b&gt; &#228;&euro;", "a &<b> ä€"),
    "paragraphs": ("<p>a</p>\n<p>b</p>c<br>d", "a\n\nb\n\nc\nd"),
    "divs": ("<div>a</div><div>b</div>", "a\nb"),
    "list": ("<ul><li>a<li>b</ul>", "- a\n- b"),
    "table": ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
    "preformatted": ("<pre>a\n  b  c</pre>d", "a\n  b  c\n\nd"),
    "hidden": ("<head><title>t</title><style>s { }</style></head><script>a < b</script>x", "x"),
    "upper case": ("<SCRIPT>x</Script><P>a", "a"),
    "comment": ("a<!-- b > c -->d<!DOCTYPE x><?xml y?>e", "ade"),
    "image": ('<img src=x alt="a > b">c', "a > bc"),
    "image without words": ("<img src=x>c", "c"),
    "sign": ("3 < 4 <5", "3 < 4 <5"),
    "quoted >": ('<a title="x>y">z</a>', "z"),
    "broken quote": ('<a title="x>y</a> z', "y z"),
    "tag without end": ("a <b", "a"),
    "script without end": ("a<script>b", "a"),
    "comment without end": ("a<!-- b", "a"),
    "empty": ("", ""),
}


@pytest.mark.parametrize("text, wanted", TEXTS.values(), ids=TEXTS)
def test_text(text: str, wanted: str) -> None:
    assert html_to_text(text) == wanted


@given(st.text("<>/!-\"'= &;abpre\n", max_size=60))
def test_any_text(text: str) -> None:
    found = html_to_text(text)
    assert found == found.strip("\n")
    "".join(pieces(text))


HARD = [
    "<",
    "<a",
    "<a '",
    '<a "',
    "<!--",
    "<script>",
    "&",
    "&#",
    "<a>",
    "<pre>",
    " ",
    "</",
    "<img alt=",
    '<a b="c',
    "<a '\">",
]


@pytest.mark.parametrize("piece", HARD)
def test_linear(piece: str) -> None:
    start = time.process_time()
    html_to_text(piece * (1_000_000 // len(piece)))
    assert time.process_time() - start < 20


def test_charset() -> None:
    assert charset(b'<html><meta charset="koi8-r">') == "koi8-r"
    assert charset(b'<meta http-equiv=Content-Type content="text/html; charset=utf-8">') == "utf-8"
    assert charset(b"<p>charset=x") == ""
    assert charset(b" " * 2000 + b'<meta charset="koi8-r">') == ""
