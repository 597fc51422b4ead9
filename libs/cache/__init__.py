"""Answers of queries in Redis: each knows which position of the log it covers, and so how old it is."""
