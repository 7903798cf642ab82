"""What moxd says over HTTP: how mail programs are to be set up, and the MTA-STS policies of our domains.

    autoconfig.py   a domain's services as the documents that mail programs ask for
    site.py         requests -> responses
    server.py       HTTP on our own loop; what else comes to port 443, by ALPN

Not here: mail by HTTP."""
