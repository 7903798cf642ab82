"""Both halves of SMTP on asyncio: bytes to sessions and back, TLS, deadlines, back-pressure.

server.py   serve(make_handler, sock, config) -> Server
session.py  one connection of it
client.py   connect(addresses, name, config) -> ClientConnection; deliver() for one message"""

from mox_smtp.aio.client import ClientConnection, ConnectError, connect, deliver
from mox_smtp.aio.server import Connection, Handler, Server, TlsDetails, serve
from mox_smtp.client import TlsFailed
from mox_smtp.server import Answer

__all__ = [
    "Answer",
    "ClientConnection",
    "ConnectError",
    "Connection",
    "Handler",
    "Server",
    "TlsDetails",
    "TlsFailed",
    "connect",
    "deliver",
    "serve",
]
