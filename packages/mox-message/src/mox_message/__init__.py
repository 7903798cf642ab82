"""Internet messages and MIME as byte offsets."""

from mox_message.content import Content
from mox_message.fields import Field, Fields

__all__ = ["Content", "Field", "Fields"]
