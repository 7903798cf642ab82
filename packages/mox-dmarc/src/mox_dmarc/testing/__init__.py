"""For tests: the grammar of a record (record.lark) and texts drawn from it (texts.py).

texts.py needs hypothesis and lark: `pip install mox-dmarc[testing]`."""
