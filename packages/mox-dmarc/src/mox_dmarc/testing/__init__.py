"""For tests: grammars, and texts and reports drawn from them.

    record.lark      the policy record, RFC 9989 4.8
    filename.lark    the name of a report's file, RFC 9990 3.5.2
    subject.lark     the subject of its mail
    alignment.lark   Identity-Alignment of a failure report, RFC 9991 4
    texts.py         texts drawn from a grammar, and a second opinion on any text
    reports.py       aggregate reports as values, and packed as reporters send them

The Python files need hypothesis and lark: `pip install mox-dmarc[testing]`."""
