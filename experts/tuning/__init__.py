"""One study for experts of every kind: ask, train, tell, store, choose."""
