from __future__ import annotations

import threading
from pathlib import Path

from moxd.app import keep_secret


def test_all_who_ask_at_once_get_the_same(tmp_path: Path) -> None:
    """Two workers of a new installation once made it both, and one died."""
    for turn in range(20):
        data = tmp_path / str(turn)
        data.mkdir()
        together, found = threading.Barrier(8), []

        def ask(data: Path = data, together: threading.Barrier = together, found: list[bytes] = found) -> None:
            together.wait(10)
            found.append(keep_secret(data))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert set(found) == {keep_secret(data)}
        assert [path.name for path in data.iterdir()] == ["secret"]
        assert (data / "secret").stat().st_mode & 0o777 == 0o600
