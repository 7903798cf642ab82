"""For tests of what deals with TLS reports.

    texts.py     records drawn from the grammar in record.lark, and reports, good and bent

texts.py needs hypothesis and lark: `pip install mox-tlsrpt[testing]`."""
