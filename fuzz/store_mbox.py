"""mbox files from hostile octets: every message is read, positions lead on, and what is read can be written and read.

python fuzz/store_mbox.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

import io

from mox_store import mbox
from mox_store.letters import header_traits


def fuzz(data: bytes) -> None:
    """One input."""
    letters = list(mbox.read(io.BytesIO(data)))
    contents = [letter.content.read() for letter in letters]
    assert sum(map(len, contents)) <= 2 * len(data)  # CRLF for LF
    for number, letter in enumerate(letters):
        header_traits(letter.content)
        rest = [one.content.read() for one in mbox.read(io.BytesIO(data), letter.position)]
        assert rest == contents[number + 1 :]
    written = io.BytesIO()
    for letter in letters:
        mbox.write(written, letter.content, letter.received or 0.0, letter.flags)
    assert len(list(mbox.read(io.BytesIO(written.getvalue())))) == len(letters)


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
