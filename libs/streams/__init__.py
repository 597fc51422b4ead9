"""Events: the names of their streams, their envelope, and consumers that see each of them in order of its aggregate."""
