"""Must mail to this domain use verified TLS? MTA-STS, RFC 8461."""
