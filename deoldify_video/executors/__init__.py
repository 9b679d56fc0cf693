"""Tasks on other processes and machines: one interface, local worker processes and a Ray cluster behind it."""
