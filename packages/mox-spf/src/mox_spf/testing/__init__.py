"""For tests of what deals with SPF records.

    texts.py     texts drawn from the grammar in record.lark, and a second opinion on any text

texts.py needs hypothesis and lark: `pip install mox-spf[testing]`."""
