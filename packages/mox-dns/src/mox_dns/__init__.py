"""Names, DNS questions without I/O, resolvers, iprev and block lists for mail software."""
