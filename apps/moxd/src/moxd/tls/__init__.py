"""Certificates and TLS settings; the only place in moxd that touches cryptography.

certificates.py   an own authority and certificates for localserve, made once
contexts.py       ssl contexts for listeners, from files that are watched for renewal
dkim_keys.py      DKIM keys: made, written, read"""
