"""DNS over UDP from a table, in a thread: every other name does not exist.  For tests that are not about DNS."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


def _answer(data: bytes, records: Mapping[str, Sequence[str]]) -> bytes:
    asked = dns.message.from_wire(data)
    reply = dns.message.make_response(asked, recursion_available=True)
    question = asked.question[0]
    name, type_ = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
    found = records.get(f"{name} {type_}")
    if found:
        quoted = [f'"{text}"' if type_ == "TXT" else text for text in found]
        reply.answer.append(dns.rrset.from_text_list(question.name, 300, "IN", type_, quoted))
    elif not any(key.split()[0] == name or key.split()[0].endswith("." + name) for key in records):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply.to_wire()


@contextmanager
def stub_dns(records: Mapping[str, Sequence[str]] | None = None) -> Iterator[str]:
    """Answers `"name TYPE" -> texts`; yields "127.0.0.1:port"."""
    table = {
        key.lower().rsplit(" ", 1)[0] + " " + key.rsplit(" ", 1)[1]: value for key, value in (records or {}).items()
    }
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        ended = threading.Event()

        def serve() -> None:
            while True:
                data, peer = sock.recvfrom(65535)
                if ended.is_set():
                    return
                sock.sendto(_answer(data, table), peer)

        thread = threading.Thread(target=serve, name="stub DNS", daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{sock.getsockname()[1]}"
        finally:
            ended.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", sock.getsockname())
            thread.join(5)
