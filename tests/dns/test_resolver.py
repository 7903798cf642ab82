"""The UDP resolvers against servers that lie, stutter, or say nothing."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from mox_dns import (
    Answer,
    BlockingUdpResolver,
    Question,
    Status,
    UdpResolver,
    Zone,
    ask,
    ask_all,
    run,
    run_blocking,
    txt,
)
from mox_dns.resolver import MAX_STRAYS, adapted, adapted_blocking

Speech = Callable[[bytes], list[bytes]]


def both() -> tuple[socket.socket, socket.socket]:
    """UDP and TCP on the same number: one that is free for both is found by trying."""
    for _ in range(100):
        udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        try:
            tcp.bind(("127.0.0.1", 0))
            udp.bind(("127.0.0.1", tcp.getsockname()[1]))
        except OSError:
            udp.close()
            tcp.close()
        else:
            return udp, tcp
    raise AssertionError("no port is free for both")


class Server:
    """Answers every query with what `says` returns; over TCP with what `says_tcp` returns."""

    def __init__(self, says: Speech, says_tcp: Speech | None = None) -> None:
        self.says, self.says_tcp = says, says_tcp
        self.queries: list[bytes] = []
        self.sources: set[Any] = set()
        self.heard = threading.Event()

    @contextmanager
    def running(self) -> Iterator[str]:
        udp, tcp = both()
        with udp, tcp:
            port = tcp.getsockname()[1]
            tcp.listen(8)
            threads = [
                threading.Thread(target=loop, args=(sock,)) for loop, sock in ((self._udp, udp), (self._tcp, tcp))
            ]
            for thread in threads:
                thread.start()
            try:
                yield f"127.0.0.1:{port}"
            finally:
                with socket.socket(type=socket.SOCK_DGRAM) as end:
                    end.sendto(b"", ("127.0.0.1", port))
                tcp.shutdown(socket.SHUT_RDWR)
                for thread in threads:
                    thread.join(5)

    def _udp(self, udp: socket.socket) -> None:
        while True:
            query, peer = udp.recvfrom(4096)
            if not query:
                return
            self.queries.append(query)
            self.sources.add(peer)
            self.heard.set()
            for reply in self.says(query):
                udp.sendto(reply, peer)

    def _tcp(self, tcp: socket.socket) -> None:
        while True:
            try:
                connection, _ = tcp.accept()
            except OSError:
                return
            with connection:
                (length,) = struct.unpack("!H", connection.recv(2))
                query = connection.recv(length)
                for reply in self.says_tcp(query) if self.says_tcp else ():
                    connection.sendall(struct.pack("!H", len(reply)) + reply)


def reply(query: bytes, *texts: str, rcode: int = 0, flags: int = 0) -> bytes:
    """An honest answer with TXT records."""
    asked = dns.message.from_wire(query)
    made = dns.message.make_response(asked, recursion_available=True)
    made.flags |= flags
    made.set_rcode(dns.rcode.Rcode.make(rcode))
    if texts:
        made.answer.append(dns.rrset.from_text(asked.question[0].name, 60, "IN", asked.question[0].rdtype, *texts))
    return made.to_wire()


def good(query: bytes) -> list[bytes]:
    return [reply(query, '"good"')]


def silent(_: bytes) -> list[bytes]:
    return []


def asked_waiting(servers: list[str], name: str = "a.example", **settings: Any) -> Answer:
    async def once() -> Answer:
        with UdpResolver(servers, trust_ad=True, **{"timeout": 0.3, **settings}) as resolver:
            return (await run(txt(name), resolver)).value

    return asyncio.run(once())


def asked_blocking(servers: list[str], name: str = "a.example", **settings: Any) -> Answer:
    resolver = BlockingUdpResolver(servers, trust_ad=True, **{"timeout": 0.3, **settings})
    return run_blocking(txt(name), resolver).value


@pytest.fixture(params=[asked_waiting, asked_blocking], ids=["asyncio", "blocking"])
def asked(request: pytest.FixtureRequest) -> Callable[..., Answer]:
    made: Callable[..., Answer] = request.param
    return made


def wrong_id(query: bytes) -> list[bytes]:
    return [bytes([query[0] ^ 1]) + reply(query, '"bad"')[1:]]


def other_question(query: bytes) -> list[bytes]:
    other = dns.message.make_query("b.example", "TXT", id=int.from_bytes(query[:2], "big"))
    return [reply(other.to_wire(), '"bad"')]


def other_type(query: bytes) -> list[bytes]:
    other = dns.message.make_query("a.example", "MX", id=int.from_bytes(query[:2], "big"))
    return [reply(other.to_wire(), "10 bad.")]


STRAYS: dict[str, Speech] = {
    "a wrong id": wrong_id,
    "another question": other_question,
    "another type": other_type,
    "our own query": lambda query: [query],
    "no question": lambda query: [query[:2] + b"\x81\x80" + bytes(8)],
    "a few octets": lambda query: [query[:5]],
    "nothing": lambda query: [b"", b"\0"],
    "another opcode": lambda query: [query[:2] + b"\x91\x80" + query[4:]],
}


@pytest.mark.parametrize("stray", STRAYS.values(), ids=STRAYS.keys())
def test_what_does_not_answer_is_passed_over(stray: Speech, asked: Callable[..., Answer]) -> None:
    server = Server(lambda query: stray(query) + good(query))
    with server.running() as address:
        assert asked([address]).records == (b"good",)
    assert len(server.queries) == 1


def test_what_others_send_is_not_received() -> None:
    """The socket is connected, so the kernel drops datagrams from other addresses and ports."""

    async def check() -> None:
        server = Server(silent)
        with server.running() as address, UdpResolver([address], trust_ad=False, timeout=0.5, attempts=1) as resolver:
            waiting = resolver.ask(Question("a.example", "TXT"))
            assert not isinstance(waiting, Answer)
            await asyncio.to_thread(server.heard.wait, 5)
            with socket.socket(type=socket.SOCK_DGRAM) as forger:
                for peer in server.sources:
                    forger.sendto(reply(server.queries[0], '"forged"'), peer)
            assert (await waiting).status is Status.TIMEOUT

    asyncio.run(check())


def test_guessing_is_answered_by_tcp() -> None:
    """So many datagrams with wrong ids are an attack; over TCP there is nothing to guess."""

    async def check() -> None:
        server = Server(lambda query: wrong_id(query) * (MAX_STRAYS + 5), good)
        with server.running() as address, UdpResolver([address], trust_ad=False) as resolver:
            answer = (await run(txt("a.example"), resolver)).value
            assert answer.records == (b"good",)
            assert resolver.counts.tcp == 1
            assert resolver.counts.strays >= MAX_STRAYS

    asyncio.run(check())


def truncated(query: bytes) -> list[bytes]:
    return [reply(query, '"half"', flags=dns.flags.TC)]


def test_truncated_goes_to_tcp(asked: Callable[..., Answer]) -> None:
    """RFC 1035 4.2.2."""
    with Server(truncated, lambda query: [reply(query, '"whole"')]).running() as address:
        assert asked([address]).records == (b"whole",)


BAD_TCP: dict[str, Speech | None] = {
    "hangs up": None,
    "another question": other_question,
    "a wrong id": wrong_id,
    "nonsense": lambda query: [b"\0" * 30],
}


@pytest.mark.parametrize("says_tcp", BAD_TCP.values(), ids=BAD_TCP.keys())
def test_bad_tcp_is_a_failure(says_tcp: Speech | None, asked: Callable[..., Answer]) -> None:
    with Server(truncated, says_tcp).running() as address:
        assert asked([address]).status is Status.SERVFAIL


def test_nothing_is_a_timeout(asked: Callable[..., Answer]) -> None:
    server = Server(silent)
    with server.running() as address:
        answer = asked([address], timeout=0.05, attempts=2)
    assert answer.status is Status.TIMEOUT
    assert "2 attempts" in answer.detail
    assert len(server.queries) == 2
    assert server.queries[0][:2] != server.queries[1][:2], "each attempt has an id of its own"


def test_a_lost_datagram_is_sent_again(asked: Callable[..., Answer]) -> None:
    server = Server(lambda query: good(query) if len(server.queries) > 1 else [])
    with server.running() as address:
        assert asked([address], timeout=0.05).records == (b"good",)


def test_servfail_asks_the_next(asked: Callable[..., Answer]) -> None:
    bad = Server(lambda query: [reply(query, rcode=2)])
    with bad.running() as first, Server(good).running() as second:
        assert asked([first, second]).records == (b"good",)
    assert len(bad.queries) == 1


def test_servfail_everywhere_is_servfail(asked: Callable[..., Answer]) -> None:
    server = Server(lambda query: [reply(query, rcode=5)])
    with server.running() as address:
        answer = asked([address])
    assert answer.status is Status.SERVFAIL
    assert "REFUSED" in answer.detail
    assert len(server.queries) == 1, "the same server would say the same"


def test_malformed_asks_the_next(asked: Callable[..., Answer]) -> None:
    bad = Server(lambda query: [reply(query, '"cut"')[:-14]])
    with bad.running() as first, Server(good).running() as second:
        assert asked([first, second]).records == (b"good",)
    with bad.running() as first:
        assert asked([first]).status is Status.MALFORMED


def test_nobody_there_is_known_at_once(asked: Callable[..., Answer]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    answer = asked([address], timeout=30)
    assert answer.status is Status.SERVFAIL
    assert "refused" in answer.detail.lower()


OLD: dict[str, Speech] = {
    "a whole message": lambda query: [reply(query, rcode=1)],
    "a bare header": lambda query: [query[:2] + b"\x80\x01" + bytes(8)],
    "BADVERS": lambda query: [reply(query, rcode=16)],
}


@pytest.mark.parametrize("refusal", OLD.values(), ids=OLD.keys())
def test_servers_older_than_edns(refusal: Speech, asked: Callable[..., Answer]) -> None:
    server = Server(lambda query: good(query) if query.endswith(b"\0\x10\0\1") else refusal(query))
    with server.running() as address:
        assert asked([address]).records == (b"good",)
    assert len(server.queries) == 2


def test_mixed_case_must_come_back(asked: Callable[..., Answer]) -> None:
    name = "abcdefghijklmnopqrstuvwxyz.example"
    server = Server(good)
    with server.running() as address:
        answer = asked([address], name, mixed_case=True)
    assert answer.records == (b"good",)
    assert answer.canonical == name
    assert server.queries[0] != server.queries[0].lower()
    flattened = Server(lambda query: [query[:2] + reply(query.lower(), '"bad"')[2:]])
    with flattened.running() as address:
        assert asked([address], name, mixed_case=True, timeout=0.05).status is Status.TIMEOUT


def chain(query: bytes) -> list[bytes]:
    """Each name is an alias of the next, whose records the server does not tell along."""
    asked = dns.message.from_wire(query)
    name = asked.question[0].name.to_text()
    number = int(name[1 : name.index(".")])
    made = dns.message.make_response(asked, recursion_available=True)
    made.flags |= dns.flags.AD if number != 2 else 0
    if number < 5:
        target = f"n{number + 1}.example."
        made.answer.append(dns.rrset.from_text(name, 100 - number, "IN", "CNAME", target))
    else:
        made.answer.append(dns.rrset.from_text(name, 99, "IN", "TXT", '"end"'))
    return [made.to_wire()]


def test_aliases_without_their_targets_are_followed(asked: Callable[..., Answer]) -> None:
    with Server(chain).running() as address:
        answer = asked([address], "n3.example")
        assert (answer.records, answer.canonical, answer.ttl) == ((b"end",), "n5.example", 96)
        assert answer.authentic
        answer = asked([address], "n1.example")
        assert answer.records == (b"end",)
        assert answer.question == Question("n1.example", "TXT")
        assert not answer.authentic, "one link was not vouched for"


def loop(query: bytes) -> list[bytes]:
    asked = dns.message.from_wire(query)
    made = dns.message.make_response(asked, recursion_available=True)
    name = asked.question[0].name.to_text()
    other = {"a.example.": "b.example.", "b.example.": "a.example."}[name]
    made.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", other))
    return [made.to_wire()]


def test_a_loop_of_aliases_ends(asked: Callable[..., Answer]) -> None:
    server = Server(loop)
    with server.running() as address:
        assert asked([address]).status is Status.MALFORMED
    assert len(server.queries) < 20


def test_answers_are_kept_as_long_as_they_say() -> None:
    async def check() -> None:
        server = Server(good)
        with server.running() as address, UdpResolver([address], trust_ad=False) as resolver:
            for name in ("a.example", "A.Example", "a.example"):
                assert (await run(txt(name), resolver)).value.found
            assert len(server.queries) == 1
            assert resolver.counts.from_cache == 2
            assert isinstance(resolver.ask(Question("a.example", "TXT")), Answer), "known answers need no waiting"

    asyncio.run(check())


def test_failures_are_kept_for_a_moment(asked: Callable[..., Answer]) -> None:
    """RFC 9520 3.2."""
    server = Server(lambda query: [reply(query, rcode=2)])
    with server.running() as address:
        resolver = BlockingUdpResolver([address], trust_ad=False)
        assert [resolver.ask(Question("a.example", "TXT")).status for _ in range(2)] == [Status.SERVFAIL] * 2
        assert len(server.queries) == 1
        resolver = BlockingUdpResolver([address], trust_ad=False, failure_ttl=0)
        assert [resolver.ask(Question("a.example", "TXT")).status for _ in range(2)] == [Status.SERVFAIL] * 2
        assert len(server.queries) == 3


def test_the_same_question_is_sent_once() -> None:
    async def check() -> None:
        server = Server(good)
        with server.running() as address, UdpResolver([address], trust_ad=False) as resolver:
            answers = await asyncio.gather(*[run(txt("a.example"), resolver) for _ in range(20)])
            assert all(answer.value.found for answer in answers)
            assert len(server.queries) == 1
            assert resolver.counts.joined == 19

    asyncio.run(check())


def test_who_is_cancelled_takes_nothing_from_others() -> None:
    async def check() -> None:
        hold = threading.Event()
        server = Server(lambda query: good(query) if hold.wait(5) else [])
        with server.running() as address, UdpResolver([address], trust_ad=False) as resolver:
            one, other = (asyncio.create_task(run(txt("a.example"), resolver)) for _ in range(2))
            await asyncio.sleep(0.05)
            one.cancel()
            await asyncio.sleep(0)
            hold.set()
            assert (await other).value.found
            assert one.cancelled()

    asyncio.run(check())


def test_many_at_once() -> None:
    async def check() -> None:
        server = Server(good)
        with server.running() as address, UdpResolver([address], trust_ad=False) as resolver:
            questions = [Question(f"n{n}.example", "TXT") for n in range(100)]
            answers = (await run(ask_all(*questions), resolver)).value
            assert [answer.question for answer in answers] == questions
            assert all(answer.found for answer in answers)
            assert len(server.sources) > 1, "several source ports are in use"

    asyncio.run(check())


def test_closing_tells_who_waits() -> None:
    async def check() -> None:
        with Server(silent).running() as address:
            resolver = UdpResolver([address], trust_ad=False, timeout=60)
            task = asyncio.create_task(run(txt("a.example"), resolver))
            await asyncio.sleep(0.05)
            resolver.close()
            assert (await task).value.status is Status.SERVFAIL

    asyncio.run(check())


def test_a_second_loop_begins_anew() -> None:
    with Server(good).running() as address:
        resolver = UdpResolver([address], trust_ad=False, cache_size=0)

        async def once() -> None:
            assert (await run(txt("a.example"), resolver)).value.found

        asyncio.run(once())
        asyncio.run(once())
        resolver.close()


def test_a_source_port_wears_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mox_dns.resolver.MAX_USES", 2)

    async def check() -> None:
        server = Server(good)
        with server.running() as address, UdpResolver([address], trust_ad=False, ports=1) as resolver:
            for n in range(6):
                assert (await run(txt(f"n{n}.example"), resolver)).value.found
            assert len(server.sources) == 3

    asyncio.run(check())


def test_too_many_open_questions_fail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mox_dns.resolver.MAX_OPEN", 2)

    async def check() -> None:
        with Server(silent).running() as address, UdpResolver([address], trust_ad=False, timeout=60) as resolver:
            waiting = [resolver.ask(Question(f"n{n}.example", "TXT")) for n in range(3)]
            assert isinstance(waiting[2], Answer)
            assert waiting[2].status is Status.SERVFAIL

    asyncio.run(check())


def test_from_system(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\noptions timeout:7 attempts:4 trust-ad\n")
    resolver = UdpResolver.from_system(str(conf))
    assert [str(server) for server in resolver.servers] == ["192.0.2.1:53", "[2001:db8::1]:53"]
    assert (resolver.trust_ad, resolver.timeout, resolver.attempts) == (True, 7.0, 4)
    assert not UdpResolver.from_system(str(conf), trust_ad=False).trust_ad
    nowhere = BlockingUdpResolver.from_system(str(tmp_path / "missing"))
    assert [str(server) for server in nowhere.servers] == ["127.0.0.1:53"]
    assert nowhere.trust_ad, "the path to this machine is safe"
    with pytest.raises(ValueError, match="a resolver needs a server"):
        UdpResolver([], trust_ad=False)


def test_what_is_no_resolver_is_told_so() -> None:
    class Wrong:
        async def resolve(self, name: str, type: str) -> None:
            raise AssertionError

    zone = Zone()
    assert adapted(zone) is zone
    assert adapted_blocking(zone) is zone
    with pytest.raises(TypeError, match=r"dns\.resolver\.Resolver"):
        adapted_blocking(Wrong())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"dns\.asyncresolver\.Resolver"):
        adapted(object())  # type: ignore[arg-type]


def test_an_awaitable_of_any_kind_will_do() -> None:
    class Slow:
        def ask(self, question: Question) -> Awaitable[Answer]:
            async def later() -> Answer:
                await asyncio.sleep(0)
                return Answer(question, Status.OK, (b"x",))

            return later()

    assert asyncio.run(run(ask("a.example", "TXT"), Slow())).value.records == (b"x",)
