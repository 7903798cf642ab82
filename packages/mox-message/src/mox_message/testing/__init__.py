"""For tests of what deals with messages.

    texts.py      texts drawn from the grammars beside it, and a second opinion on any text
    messages.py   whole messages drawn with the tree that they have

The grammars are written from the ABNF of the RFCs, whose sections they name.  Needs hypothesis and lark:
`pip install mox-message[testing]`."""
