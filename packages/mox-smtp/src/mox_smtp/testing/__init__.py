"""For tests of what speaks SMTP.

    texts.py    command lines and replies drawn from the grammars beside it, dialogues, a second opinion on any line

texts.py needs hypothesis and lark: `pip install mox-smtp[testing]`."""
