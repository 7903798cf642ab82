"""For tests of what deals with SPF.

    texts.py     texts drawn from the grammars in record.lark and received.lark, and a second opinion on any text
    worlds.py    a client, a sender and a small zone, in which everything may happen

Both need hypothesis, texts.py lark too: `pip install mox-spf[testing]`."""
