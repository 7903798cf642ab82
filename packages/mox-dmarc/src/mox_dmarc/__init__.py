"""What does the From domain ask for? DMARC, RFC 9989 and RFC 7489."""
