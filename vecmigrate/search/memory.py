"""How much memory an index takes: what FT.INFO says of one, and what another would take.

FT.INFO leaves some of it out. The constants here were measured on RediSearch 2.10.5, as the difference in
used_memory before and after FT.CREATE, over 4,000 to 20,000 documents, 32 to 768 dimensions and M from 8
to 64; `benchmarks/rebuild.py` holds the estimate against the truth.
"""

from __future__ import annotations

from typing import Final

from vecmigrate.search.ddl import indexed_fields
from vecmigrate.search.reply import Info, num_docs
from vecmigrate.spec.model import Flat, Hnsw, IndexSpec, SvsVamana, VectorField

MB: Final = 1024 * 1024

# Everything but vectors. `total_index_memory_sz_mb` is not among them: what it counts changed with Redis 8.
_PARTS: Final = (
    "inverted_sz_mb",
    "doc_table_size_mb",
    "key_table_size_mb",
    "sortable_values_size_mb",
    "tag_overhead_sz_mb",
    "text_overhead_sz_mb",
    "offset_vectors_sz_mb",
    "geoshapes_sz_mb",
)
# Bytes a document that FT.INFO does not count: its entry in the tables of ids and keys.
_UNCOUNTED: Final = 215
# Bytes a vector beside its numbers and its links: labels, locks, levels above the lowest.
_HNSW_EXTRA: Final = 258
_FLAT_EXTRA: Final = 50
_SVS_EXTRA: Final = 120
_BYTES_A_LINK: Final = 4
# Vectors are stored in blocks of so many.
_BLOCK: Final = 1024
# Above this share of maxmemory, in percent, RediSearch 8 gives a background scan up; 0 means never.
SCAN_THRESHOLD: Final = "_BG_INDEX_MEM_PCT_THR"

# An added field, where nothing like it is there to go by.
_BYTES_A_FIELD: Final = 80
_QUANTUM: Final = 16


def scan_limit(maximum: int | None, threshold: str | None) -> int | None:
    """Bytes that the server may use while an index is being scanned, or None where there is no limit.

    Args:
        maximum: `maxmemory`; None or 0 means that there is none.
        threshold: The setting `SCAN_THRESHOLD`; None where the server has no such setting.
    """
    if not maximum:
        return None
    try:
        percent = float(threshold) if threshold is not None else 0.0
    except ValueError:
        percent = 0.0
    return int(maximum * percent / 100) if 0 < percent < 100 else maximum


def used_by(info: Info) -> int:
    """Bytes that an index takes, by its FT.INFO and what that leaves out."""
    return int(float(info.get("vector_index_sz_mb", 0)) * MB) + _without_vectors(info)


def estimate(spec: IndexSpec, live: Info) -> int:
    """Bytes that an index made from `spec` would take over the documents of a live index.

    Args:
        spec: What is to be built.
        live: FT.INFO of an index over the same documents. Texts and tags cost what they cost there; a field
            more or less counts as some bytes a document.
    """
    documents = num_docs(live)
    vectors = sum(_vectors(item, documents) for item in spec.vectors if item.indexed)
    others = sum(not isinstance(item, VectorField) for item in indexed_fields(spec))
    before = sum(item.get("type") != "VECTOR" for item in live.get("attributes", ()))
    added = (others - before) * documents * _BYTES_A_FIELD
    return vectors + max(int(_without_vectors(live) + added), documents * _UNCOUNTED)


def of_new_documents(spec: IndexSpec, documents: int) -> int:
    """Bytes by which an index made from `spec` grows with so many documents more; texts are not counted."""
    others = sum(not isinstance(item, VectorField) for item in indexed_fields(spec))
    vectors = sum(_vectors(item, documents) for item in spec.vectors if item.indexed)
    return vectors + documents * (_UNCOUNTED + others * _BYTES_A_FIELD)


def _without_vectors(info: Info) -> int:
    return int(sum(float(info.get(part, 0)) for part in _PARTS) * MB) + num_docs(info) * _UNCOUNTED


def _vectors(item: VectorField, documents: int) -> int:
    match item.algorithm:
        case Flat() as flat:
            return _blocks(item.blob_size, documents, flat.block_size) + documents * _FLAT_EXTRA
        case Hnsw() as hnsw:
            links = 2 * hnsw.m * _BYTES_A_LINK
            return _blocks(item.blob_size, documents, _BLOCK) + documents * (links + _HNSW_EXTRA)
        case SvsVamana() as svs:
            links = svs.graph_max_degree * _BYTES_A_LINK
            return _blocks(item.blob_size, documents, _BLOCK) + documents * (links + _SVS_EXTRA)


def _blocks(size: int, documents: int, block: int) -> int:
    """Bytes of whole blocks, as the allocator rounds them: to a quarter of the power of two below."""
    wanted = size * block + _QUANTUM
    step = max(1 << max(wanted.bit_length() - 3, 0), _QUANTUM)
    rounded = -(-wanted // step) * step
    return -(-documents // block) * rounded
