"""An IMAP server as a state machine without I/O, against any store."""
