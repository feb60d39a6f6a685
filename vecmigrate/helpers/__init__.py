"""What generated helpers do at run time: vectors, values, queries and replies.

Pure functions over plain values; nothing here talks to Redis. `vecmigrate generate`
copies these modules into the shared module of a package, so that applications need
redis and numpy only; vecmigrate itself uses them from here. A name means the same in
all of them, since they end up in one module.
"""
