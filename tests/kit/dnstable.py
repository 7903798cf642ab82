"""A name server on loopback that answers from a table, for programs that ask DNS themselves."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


def _answer(query: bytes, texts: Mapping[str, str]) -> bytes:
    asked = dns.message.from_wire(query)
    response = dns.message.make_response(asked, recursion_available=True)
    question = asked.question[0]
    text = texts.get(question.name.to_text().rstrip(".").lower())
    if text is None:
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif question.rdtype == dns.rdatatype.TXT:
        strings = " ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255))
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "TXT", strings))
    return response.to_wire()


@contextmanager
def dns_table(texts: Mapping[str, str], address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Serves the TXT records `texts` (name -> text) by UDP; yields the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, port))
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                query, peer = server.recvfrom(4096)
                try:
                    server.sendto(_answer(query, texts), peer)
                except (dns.exception.DNSException, IndexError):
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            ended.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", server.getsockname())
            thread.join()
