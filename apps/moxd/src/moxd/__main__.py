"""`moxd`, or `python -m moxd`."""

from __future__ import annotations

import sys

from moxd.cli import run


def main() -> None:
    """The command line; ends the process with its status."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
