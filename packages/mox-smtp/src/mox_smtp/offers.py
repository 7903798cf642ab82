"""What a server says it can: the lines of its reply to EHLO, read (RFC 5321 4.1.1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mox_smtp.reply import Reply

MAX_KEYWORDS = 200


@dataclass(frozen=True, slots=True)
class Offers:
    """Extensions by keyword in capitals, each with what follows it."""

    extended: bool = False
    keywords: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.keywords

    @classmethod
    def of(cls, reply: Reply) -> Offers:
        """From the reply to EHLO."""
        keywords: dict[str, str] = {}
        for line in reply.text.split("\n")[1 : MAX_KEYWORDS + 1]:
            keyword, _, rest = line.strip().partition(" ")
            # Quirk auth-equals: "AUTH=PLAIN" of servers from before RFC 2554.
            if keyword.upper().startswith("AUTH="):
                keyword, rest = "AUTH", f"{keyword[5:]} {rest}"
            if keyword and keyword.upper() not in keywords:
                keywords[keyword.upper()] = rest.strip()
        return cls(True, keywords)

    @property
    def size(self) -> int:
        """The largest message it takes, or 0 where it does not say (RFC 1870)."""
        text = self.keywords.get("SIZE", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """SASL mechanisms."""
        return tuple(self.keywords.get("AUTH", "").upper().split())

    def limit(self, name: str) -> int:
        """RCPTMAX, MAILMAX or RCPTDOMAINMAX of LIMITS (RFC 9422), or 0 where there is none."""
        for word in self.keywords.get("LIMITS", "").upper().split():
            key, _, value = word.partition("=")
            if key == name and value.isascii() and value.isdigit() and len(value) <= 6:
                return int(value)
        return 0

    @property
    def most_recipients(self) -> int:
        """RCPTMAX, or 0 where there is none."""
        return self.limit("RCPTMAX")
