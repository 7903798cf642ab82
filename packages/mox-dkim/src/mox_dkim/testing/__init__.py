"""For tests of what deals with signatures.

    signing.py   a key, a message signed with it, and its zone
    texts.py     texts drawn from the grammars beside it

texts.py needs hypothesis and lark: `pip install mox-dkim[testing]`."""
