"""A small name server on loopback: answers from a mox_dns Zone over UDP and TCP, for peers that ask in their own way."""

from __future__ import annotations

import socketserver
import threading
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from compare.ours import zone
from mox_dns import Answer, Question, Status, Zone

_RCODES = {Status.OK: dns.rcode.NOERROR, Status.NODATA: dns.rcode.NOERROR, Status.NXDOMAIN: dns.rcode.NXDOMAIN}


class NameServer:
    """Serves the records of one case at a time."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.zone = Zone()
        udp, tcp = self._bound(host, port)
        self.port: int = udp.server_address[1]
        self._servers: tuple[socketserver.BaseServer, ...] = (udp, tcp)
        for server in (udp, tcp):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def _bound(self, host: str, port: int) -> tuple[socketserver.ThreadingUDPServer, socketserver.ThreadingTCPServer]:
        """Both at one port; where any will do, one that both can have."""
        for left in range(20, 0, -1):
            udp = socketserver.ThreadingUDPServer((host, port), self._handler(stream=False))
            try:
                return udp, socketserver.ThreadingTCPServer(udp.server_address, self._handler(stream=True))
            except OSError:
                udp.server_close()
                if port or left == 1:
                    raise
        raise AssertionError("not reached")

    def serve(self, records: dict[str, Any]) -> None:
        """From now on these."""
        self.zone = zone(records)

    def close(self) -> None:
        """Stops answering."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _handler(self, *, stream: bool) -> type[socketserver.BaseRequestHandler]:
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                if stream:
                    length = int.from_bytes(self.request.recv(2), "big")
                    answer = owner.answer(self.request.recv(length), 65535)
                    self.request.sendall(len(answer).to_bytes(2, "big") + answer)
                else:
                    data, sock = self.request
                    sock.sendto(owner.answer(data, 0), self.client_address)

        return Handler

    def answer(self, data: bytes, size: int) -> bytes:
        """One message for another.  `size` 0: as many octets as the question allows."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        said = self.zone.ask(
            Question(question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype))
        )
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        response.set_rcode(_RCODES.get(said.status, dns.rcode.SERVFAIL))
        if said.found:
            response.answer.append(_rrset(question, said))
        try:
            return response.to_wire(max_size=size or max(512, query.payload))
        except dns.exception.TooBig:
            response.answer.clear()
            response.flags |= dns.flags.TC
            return response.to_wire()


def _rrset(question: dns.rrset.RRset, said: Answer) -> dns.rrset.RRset:
    made = dns.rrset.RRset(question.name, dns.rdataclass.IN, question.rdtype)
    for record in said.records:
        if isinstance(record, bytes):
            pieces = [record[at : at + 255] for at in range(0, len(record), 255)] or [b""]
            wire = b"".join(bytes([len(piece)]) + piece for piece in pieces)
            made.add(dns.rdata.from_wire(dns.rdataclass.IN, question.rdtype, wire, 0, len(wire)), said.ttl)
        else:
            made.add(dns.rdata.from_text(dns.rdataclass.IN, question.rdtype, f"{record}"), said.ttl)
    return made
