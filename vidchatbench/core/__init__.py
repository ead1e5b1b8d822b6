"""The base of every other package: paths, atomic writes, hashing, models, isolation, progress and process pools."""
