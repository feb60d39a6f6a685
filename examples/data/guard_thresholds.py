"""Show what other thresholds would do to the guard in `classifiers.dangerous_command_guard`.

Every example command is judged as if it were new: its own category's mean is taken without it. Of the
examples of the dangerous categories the table counts those that would be missed, of the look-alikes those
that would be flagged. Needs the model; run in the environment of `make_embeddings`, from `examples/`:

    python -m data.guard_thresholds
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from data.corpus import Category, Vector, load_corpus
from data.make_embeddings import encode

FLAG_FROM = (0.35, 0.40, 0.45, 0.50)
CLEAR_FROM = (0.45, 0.55, 0.65)
CLEAR_MARGIN = (0.0, 0.05, 0.10)


def best_scores(
    commands: list[str], categories: tuple[Category, ...], encoded: dict[str, Vector]
) -> npt.NDArray[np.float64]:
    """The cosine similarity of each command to its nearest category that does not know it: (n,)."""
    scores = []
    for command in commands:
        means = [
            np.mean([encoded[text] for text in category.examples if text != command], axis=0)
            for category in categories
        ]
        scores.append(max(float(mean @ encoded[command] / np.linalg.norm(mean)) for mean in means))
    return np.array(scores)


def main() -> None:
    """Print the table."""
    corpus = load_corpus()
    dangerous = [text for category in corpus.dangerous for text in category.examples]
    benign = [text for category in corpus.benign for text in category.examples]
    commands = dangerous + benign
    encoded = dict(zip(commands, encode(commands), strict=True))
    to_dangerous = best_scores(commands, corpus.dangerous, encoded)
    to_benign = best_scores(commands, corpus.benign, encoded)
    is_dangerous = np.arange(len(commands)) < len(dangerous)

    print(f"flag from  clear from  margin  missed of {len(dangerous)}  flagged of {len(benign)} look-alikes")
    for flag, clear, margin in product(FLAG_FROM, CLEAR_FROM, CLEAR_MARGIN):
        cleared = (to_benign >= clear) & (to_benign >= to_dangerous + margin)
        flagged = (to_dangerous >= flag) & ~cleared
        missed = int(np.sum(is_dangerous & ~flagged))
        alarms = int(np.sum(~is_dangerous & flagged))
        print(f"{flag:9.2f}  {clear:10.2f}  {margin:6.2f}  {missed:13}  {alarms:10}")


if __name__ == "__main__":
    main()
