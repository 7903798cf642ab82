"""Internet messages and MIME as byte offsets."""

from mox_message.address import Address, AddressSyntaxError, Path
from mox_message.content import Content
from mox_message.fields import Field, Fields

__all__ = ["Address", "AddressSyntaxError", "Content", "Field", "Fields", "Path"]
