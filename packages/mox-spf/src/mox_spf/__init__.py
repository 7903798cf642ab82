"""May this host send mail for this domain? SPF, RFC 7208."""
