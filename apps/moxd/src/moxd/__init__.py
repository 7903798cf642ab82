"""moxd, the mail server: composes the mox packages and holds no grammar, no verdict and no SQL."""
