"""Who is this, and how do they prove it? SASL mechanisms without I/O."""
