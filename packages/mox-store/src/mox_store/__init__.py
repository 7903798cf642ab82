"""Mailboxes that survive anything: messages, flags, changes and durable commits."""
