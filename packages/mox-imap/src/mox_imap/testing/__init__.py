"""For tests of what speaks IMAP.

    texts.py    commands drawn from the grammar beside it, and a second opinion on any command
    ../memory/  a backend to try sessions on

texts.py needs hypothesis and lark: `pip install mox-imap[testing]`."""
