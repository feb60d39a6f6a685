"""RediSearch's language, without a connection: commands, documents, replies."""
