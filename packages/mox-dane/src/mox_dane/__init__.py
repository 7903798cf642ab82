"""Which certificate does DNS vouch for? DANE for SMTP, RFC 7672."""
