"""Who signed this message? DKIM (RFC 6376) signing and verifying."""
