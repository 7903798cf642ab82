"""Charset names of mail, and octets as text.  A closed table: a foreign name never makes Python look for a codec, which
would cost a search on disk and be remembered for ever."""

from __future__ import annotations

from encodings.aliases import aliases

# Codecs that are not charsets.
_NOT = {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec", "mbcs", "utf_8"}
# Not among Python's aliases.
_MORE = "cp1006 cp720 cp737 cp856 cp874 cp875 koi8_t koi8_u mac_arabic mac_croatian mac_farsi mac_romanian"
_OLD = {
    "iso88598i": "iso8859_8",
    "iso88598e": "iso8859_8",
    "iso88596i": "iso8859_6",
    "xeucjp": "euc_jp",
    "xeuckr": "cp949",
    "xmacroman": "mac_roman",
    "macintosh": "mac_roman",
    "xsjis": "cp932",
    "xgbk": "gb18030",
    "xbig5": "cp950",
    "windows874": "cp874",
    "dos874": "cp874",
    "utf8mac": "utf_8",
}
# As browsers do (WHATWG Encoding): the larger set, where a name stands for more than it says.
_LARGER = {
    "latin_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "cp950",
}
# Names that say nothing: these octets are UTF-8 if they read as that.
_VAGUE = frozenset({"ascii", "unknown", "unknown8bit", "xunknown", "8bit", "default", "none", "iso88591unknown"})


def _folded(name: str) -> str:
    return "".join([character for character in name.lower() if character.isalnum()])


def _table() -> dict[str, str]:
    found = {_folded(alias): codec for alias, codec in aliases.items() if codec not in _NOT}
    found |= {_folded(codec): codec for codec in set(found.values())}
    found |= {_folded(codec): codec for codec in _MORE.split()}
    for name, codec in found.items():
        found[name] = _LARGER.get(codec, codec)
    found |= _OLD | {"utf8": "utf_8", "unicode11utf8": "utf_8", "utf8sig": "utf_8"}
    found |= {name: "" for name, codec in found.items() if codec == "ascii"} | dict.fromkeys(_VAGUE, "")
    # As written most, so that folding is rarely needed.
    for name in ("utf-8", "UTF-8", "iso-8859-1", "ISO-8859-1", "us-ascii", "US-ASCII", "windows-1252", "iso-8859-15"):
        found[name] = found[_folded(name)]
    return found


_CODECS = _table()
_MAX_NAME = 40


def codec(name: str) -> str | None:
    """The codec Python has for a charset; "" for names that say nothing (us-ascii too); None for an unknown one."""
    found = _CODECS.get(name)
    if found is None:
        found = _CODECS.get(_folded(name[:_MAX_NAME])) if name else ""
    return found


def to_text(data: bytes, charset: str) -> str:
    """Octets as text; what does not decode is replaced.  Without a known charset: UTF-8 if it is that, else
    Windows-1252."""
    found = codec(charset)
    if found:
        try:
            return data.decode(found, "replace")
        except (UnicodeError, ValueError):  # some codecs raise all the same
            return data.decode("cp1252", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        # A cut in the last character is no reason to doubt the rest, if there was UTF-8 before it.
        if error.reason == "unexpected end of data" and not data[: error.start].isascii():
            return data.decode("utf-8", "replace")
        return data.decode("cp1252", "replace")
