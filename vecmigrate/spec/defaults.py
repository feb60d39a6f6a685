"""RediSearch's own defaults, and the bounds of its numbers, written down once.

Source: the documentation of FT.CREATE and of vector fields, checked against RediSearch 2.10.5. Where the
server is laxer than its documentation (it accepts M = 100000), the documented bound is kept.
"""

from __future__ import annotations

from typing import Final

# Vector fields.
DIMS_MAX: Final = 32_768
DATATYPE: Final = "float32"
METRIC: Final = "cosine"
ALGORITHM: Final = "hnsw"

# HNSW.
M: Final = 16
# RediSearch 2.10.5 accepts M = 1, makes no index of it, and dies at the next FT.INFO.
M_MIN: Final = 2
M_MAX: Final = 512
EF_CONSTRUCTION: Final = 200
EF_RUNTIME: Final = 10
EF_MAX: Final = 4_096
EPSILON: Final = 0.01

# FLAT.
BLOCK_SIZE: Final = 1_024

# SVS-VAMANA.
GRAPH_MAX_DEGREE: Final = 32
CONSTRUCTION_WINDOW_SIZE: Final = 200
SEARCH_WINDOW_SIZE: Final = 10
SVS_EPSILON: Final = 0.01

# Other fields.
TEXT_WEIGHT: Final = 1.0
TAG_SEPARATOR: Final = ","
# In JSON documents the server splits no tag unless asked: measured, and shown by FT.INFO.
JSON_TAG_SEPARATOR: Final = ""
# What GEO takes, in degrees: the poles are outside of the projection behind it.
LONGITUDE_MAX: Final = 180.0
LATITUDE_MAX: Final = 85.05112878
COORD_SYSTEM: Final = "spherical"

# The index as a whole.
STORAGE: Final = "hash"
SCORE: Final = 1.0

# Searches of generated helpers, in milliseconds: ten times the server's own 500, which cuts an exact search
# of some 100,000 documents short, and not so long that one search holds a server for more than a moment.
TIMEOUT_MS: Final = 5_000
