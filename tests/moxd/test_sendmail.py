"""`moxd sendmail` against a submission server of our own."""

from __future__ import annotations

import argparse
import asyncio
import io
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import mox_smtp
from mox_smtp import aio
from moxd.cli.sendmail import SendmailError, completed, send, settings


@dataclass
class Sink:
    """What a server was given; it refuses `no@…`."""

    port: int
    messages: list[tuple[str, list[str], bytes]] = field(default_factory=list)


class Handler:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def answer(self, event: mox_smtp.Event) -> aio.Answer:
        match event:
            case mox_smtp.MailFrom(path):
                self._sender, self._to, self._data = str(path), [], b""
            case mox_smtp.RcptTo(path):
                if str(path).startswith("no@"):
                    return mox_smtp.Refusal(550, "nobody", "5.1.1", "")
                if str(path).startswith("later@"):
                    return mox_smtp.Refusal(451, "later", "4.3.0", "")
                self._to.append(str(path))
            case mox_smtp.Chunk(data):
                self._data += data
            case mox_smtp.MessageEnd():
                self._sink.messages.append((self._sender, self._to, self._data))
                return mox_smtp.Reply(250, "taken", "2.0.0")
        return None

    def closed(self, why: str) -> None: ...


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A server in a thread of its own: sendmail runs a loop itself."""
    listening = socket.create_server(("127.0.0.1", 0))
    found = Sink(listening.getsockname()[1])
    loop = asyncio.new_event_loop()
    started = threading.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(
            aio.serve(lambda connection: Handler(found), listening, mox_smtp.ServerConfig("sink.test"))
        )
        loop.call_soon(started.set)
        loop.run_forever()
        loop.run_until_complete(server.drain(1.0))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(5)
    yield found
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def options(tmp_path: Path, port: int, *arguments: str) -> argparse.Namespace:
    from moxd.cli import parser

    file = tmp_path / "sendmail.toml"
    file.write_text(f'host = "127.0.0.1"\nport = {port}\nsecurity = "none"\nfrom = "you@here.test"\n')
    return parser().parse_args(["sendmail", "--settings", str(file), *arguments])


def test_a_message_of_a_program(tmp_path: Path, sink: Sink) -> None:
    source = io.BytesIO(b"Subject: report\n\n.\nline\n")
    assert send(options(tmp_path, sink.port, "-i", "a@x.test", "b@x.test"), source) == 0
    assert sink.messages == [
        ("you@here.test", ["a@x.test", "b@x.test"], b"From: you@here.test\r\nSubject: report\r\n\r\n.\r\nline\r\n")
    ]


def test_recipients_of_the_fields(tmp_path: Path, sink: Sink) -> None:
    text = b"From: Me <me@here.test>\nTo: A <a@x.test>, friends: b@x.test;\nBcc: secret@x.test,\n a@x.test\nSubject: hi\n\nhello\n"
    assert send(options(tmp_path, sink.port, "-t", "-oi", "-f", "bounce@here.test"), io.BytesIO(text)) == 0
    ((sender, to, data),) = sink.messages
    assert (sender, to) == ("bounce@here.test", ["a@x.test", "b@x.test", "secret@x.test"])
    assert b"secret" not in data
    assert data.startswith(b"From: Me <me@here.test>\r\nTo: ")


@pytest.mark.parametrize(
    "to, status", [(["no@x.test"], 65), (["later@x.test"], 75), (["a@x.test", "later@x.test"], 75)]
)
def test_the_status_says_whether_to_try_again(
    tmp_path: Path, sink: Sink, capsys: pytest.CaptureFixture[str], to: list[str], status: int
) -> None:
    assert send(options(tmp_path, sink.port, *to), io.BytesIO(b"Subject: x\n\nx\n")) == status
    assert to[-1] in capsys.readouterr().err


def test_nobody_to_send_to(tmp_path: Path, sink: Sink) -> None:
    with pytest.raises(SendmailError, match="no recipients") as error:
        send(options(tmp_path, sink.port), io.BytesIO(b"Subject: x\n\nx\n"))
    assert error.value.status == 64


def test_nobody_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SendmailError, match=r"127\.0\.0\.1\] port") as error:
        send(options(tmp_path, port, "a@x.test"), io.BytesIO(b"Subject: x\n\nx\n"))
    assert error.value.status == 75


@pytest.mark.parametrize(
    "text, why",
    [
        ("", "host is missing"),
        ('host = "h"\nsecurity = "ssl"', "security is tls, starttls or none"),
        ('host = "h"\nhots = 1', "there is no setting hots"),
        ('host = "h"\nport = "x"', "port is a number"),
        ('host = "h"\npassword_file = "gone"', "password_file"),
        ("host =", "Invalid value"),
    ],
)
def test_settings_say_what_is_wrong(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(SendmailError, match=why) as error:
        settings(file)
    assert error.value.status == 78


def test_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(SendmailError, match=r"write host, username and password to .*sendmail\.toml"):
        settings(None)


def test_a_message_without_header(tmp_path: Path) -> None:
    assert completed(b"just text\r\n", False, "you@here.test", "You") == (
        b'From: "You" <you@here.test>\r\n\r\njust text\r\n', [],
    )  # fmt: skip
