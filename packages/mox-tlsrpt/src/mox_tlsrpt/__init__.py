"""How did TLS go, and who wants to know? SMTP TLS reporting, RFC 8460."""
