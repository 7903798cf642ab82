"""For tests of what asks DNS.

    names.py      names as text and as Domain, from domain.lark and by hand; a second opinion on any text
    answers.py    a resolver that answers what is drawn: records, absence, failure

Both need hypothesis, names.py lark too: `pip install mox-dns[testing]`.  For plain tables take mox_dns.Zone."""
