"""`moxd`, or `python -m moxd`."""

from __future__ import annotations

import sys
from pathlib import Path

from moxd.cli import run


def main() -> None:
    """The command line; ends the process with its status."""
    name, *arguments = sys.argv
    # Linked to the name that other programs call.
    sys.exit(run(["sendmail", *arguments] if Path(name).name == "sendmail" else arguments))


if __name__ == "__main__":
    main()
