"""For tests of what deals with TLSA records.

    texts.py     texts drawn from the grammar in tlsa.lark, and a second opinion on any text

texts.py needs hypothesis and lark: `pip install mox-dane[testing]`."""
