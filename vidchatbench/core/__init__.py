"""What every other package stands on: paths, atomic writes, hashing, isolation, progress and process pools."""
