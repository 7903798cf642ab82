"""What was said on a connection, kept to explain it later."""

from __future__ import annotations

from collections import deque


class Transcript:
    """What was said, without secrets and message: the first lines and the last, for support."""

    HEAD, TAIL, WIDTH = 60, 60, 300

    def __init__(self) -> None:
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=self.TAIL)
        self._count = 0

    def note(self, who: str, text: str) -> None:
        """Adds `C: …` or `S: …`."""
        for line in text.split("\n")[: self.HEAD]:
            self._count += 1
            shown = f"{who}: {line[: self.WIDTH]}"
            if len(self._head) < self.HEAD:
                self._head.append(shown)
            else:
                self._tail.append(shown)

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it, or the two ends with the number of lines left out between."""
        left_out = self._count - len(self._head) - len(self._tail)
        return (*self._head, *([f"… {left_out} lines …"] if left_out else []), *self._tail)
