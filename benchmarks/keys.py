"""Names in Redis that the benchmarks share."""

from __future__ import annotations

from typing import Final

EMBEDDINGS_KEY: Final = "bench_embeddings"
METADATA_KEY: Final = "bench_metadata"
PREFIX: Final = "bench_item:"
ALIAS: Final = "idx:bench_item"
