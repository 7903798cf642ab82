"""Internet messages and MIME as byte offsets: read hostile mail, compose clean mail."""
