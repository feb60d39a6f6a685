"""Small consumers of the generated helpers in `classifiers.redis_vector_index`."""
