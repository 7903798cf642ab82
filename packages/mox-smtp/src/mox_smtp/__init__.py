"""SMTP in both directions as state machines without I/O, with an asyncio driver."""
