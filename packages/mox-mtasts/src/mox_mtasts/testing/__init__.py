"""For tests of what deals with MTA-STS.

    texts.py     records and policies drawn from the grammars beside it, and a second opinion on any text

texts.py needs hypothesis and lark: `pip install mox-mtasts[testing]`."""
