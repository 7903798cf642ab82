"""Sessions and clients on asyncio.

server.py   connections to sessions, TLS, deadlines, back-pressure, waking
client.py   a client"""

from mox_imap.aio.client import Client, ImapDisconnected, ImapError, connect
from mox_imap.aio.server import Server, run, serve

__all__ = ["Client", "ImapDisconnected", "ImapError", "Server", "connect", "run", "serve"]
