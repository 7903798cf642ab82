"""A moxd, and mail for it by SMTP and IMAP at the same time: run as a program and recorded.

Says `try …` before it asks for something and `did …` once the server has answered 250 or a tagged OK, as load.py does."""

from __future__ import annotations

import imaplib
import re
import smtplib
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults.load import message, say


def wire(token: str) -> bytes:
    """The message of a token, as it is sent."""
    return f"From: {token}@localhost\r\n".encode() + message(token) + b"\r\n"


def senders(port: int, name: str, count: int) -> None:
    """Deliveries over one SMTP session."""
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as session:
        for number in range(count):
            token = f"smtp-{name}-{number}"
            say(f"try add {token}")
            assert session.sendmail("a@localhost", ["mox@localhost"], wire(token)) == {}
            say(f"did add {token} 0")


def reader(port: int, password: str, count: int) -> None:
    """APPEND, STORE, MOVE and EXPUNGE in one IMAP session."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=context, timeout=60) as session:
        session.login("mox@localhost", password)
        session.select("Drafts")
        for number in range(count):
            token = f"imap-{number}"
            say(f"try add {token}")
            status, (answer,) = session.append("Drafts", "", "", wire(token))
            found = re.search(rb"APPENDUID \d+ (\d+)", answer)
            assert status == "OK", answer
            assert found is not None, answer
            uid = found[1].decode()
            say(f"did add {token} {uid}")
            if number % 2:
                say(f"try flag {token}")
                assert session.uid("STORE", uid, "+FLAGS", "(\\Flagged)")[0] == "OK"
                say(f"did flag {token} {uid}")
            if number % 3 == 0:
                say(f"try move {token}")
                assert session.uid("MOVE", uid, "Archive")[0] == "OK"
                say(f"did move {token} 0")
            elif number % 4 == 2:
                say(f"try expunge {token}")
                session.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
                assert session.uid("EXPUNGE", uid)[0] == "OK"
                say(f"did expunge {token} {uid}")


def main() -> None:
    """Starts the server, sends, stops it."""
    folder, ports, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    command = [
        sys.executable,
        "-m",
        "moxd",
        "localserve",
        "--data",
        str(folder),
        "--ports-from",
        str(ports),
        "--workers",
        "2",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            password = ""
            for line in server.stdout:
                if line.startswith("password:"):
                    password = line.split()[1]
                if password and "IMAP" in line.upper():
                    break
            with ThreadPoolExecutor(4) as pool:
                work = [pool.submit(senders, ports + 25, str(number), count) for number in range(3)]
                work.append(pool.submit(reader, ports + 993, password, count))
                for one in work:
                    one.result()
        finally:
            server.terminate()
            server.stdout.read()


if __name__ == "__main__":
    main()
