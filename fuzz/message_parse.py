"""Messages from hostile octets: the tree lies within them, through a window it is the same, every reader comes through.

python fuzz/message_parse.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

from mox_message import (
    Content,
    Part,
    arf,
    bodies,
    decoded_subject,
    dsn,
    from_address,
    parse,
    preview,
    readable,
    sent_date,
    thread_keys,
)
from mox_message import part as part_module


def shape(part: Part) -> tuple[object, ...]:
    """What two readings must have in common."""
    places = (part.header_start, part.body_start, part.body_end, part.lines)
    return (part.media_type, places, part.parameters, part.defects, part.fields.names)


def fuzz(data: bytes) -> None:
    """One input."""
    content = Content.of(data)
    message = parse(content)
    for part in message.walk():
        assert 0 <= part.header_start <= part.body_start <= part.body_end <= len(data)
        assert b"".join(part.raw(content)) == data[part.body_start : part.body_end]
        readable(part, content)
        for _ in part.decoded(content):
            pass
        part.filename.encode("utf-8", "surrogateescape")
    for number, part in message.numbered():
        assert message.find(number) is part
    wanted = [shape(part) for part in message.walk()]
    memory, window = part_module._MEMORY, part_module._WINDOW
    part_module._MEMORY, part_module._WINDOW = -1, 32
    try:
        assert [shape(part) for part in parse(content).walk()] == wanted
    finally:
        part_module._MEMORY, part_module._WINDOW = memory, window
    bodies(message)
    preview(message, content)
    decoded_subject(message.fields)
    sent_date(message.fields)
    from_address(message.fields)
    thread_keys(message.fields)
    dsn.parse(message, content)
    arf.parse(message, content)


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
