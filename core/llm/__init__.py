"""The language model: what it is asked, how its reply is read, what it costs and who watches the money."""
