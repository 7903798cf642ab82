"""Sessions and clients on asyncio.

server.py   connections to sessions, TLS, deadlines, back-pressure, waking
client.py   a client"""

from mox_imap.aio.client import Client, ImapDisconnected, ImapError, Listed, Selected, connect, expanded
from mox_imap.aio.server import Origin, Preamble, Server, run, serve
from mox_imap.client import Fetched, Literal, Response, flag_list, numbers, string

__all__ = [
    "Client",
    "Fetched",
    "ImapDisconnected",
    "ImapError",
    "Listed",
    "Literal",
    "Origin",
    "Preamble",
    "Response",
    "Selected",
    "Server",
    "connect",
    "expanded",
    "flag_list",
    "numbers",
    "run",
    "serve",
    "string",
]
