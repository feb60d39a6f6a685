"""English plurals of the names that specs give, for names of functions."""

from __future__ import annotations

from typing import Final

# Words that are their own plural, beside those that end in an s which marks one already.
_UNCHANGED: Final = frozenset(
    {
        *("data", "metadata", "media", "info", "information", "content", "music", "audio", "people"),
        *("equipment", "feedback", "knowledge", "software", "hardware", "traffic", "research", "evidence"),
        *("sheep", "fish", "series", "species", "news"),
    }
)
_IRREGULAR: Final = {
    "person": "people",
    "child": "children",
    "man": "men",
    "woman": "women",
    "mouse": "mice",
    "foot": "feet",
    "tooth": "teeth",
    "quiz": "quizzes",
    "criterion": "criteria",
    "phenomenon": "phenomena",
}
# Ends of words in the singular that an s marks as no plural: bus, status, class, alias, gas.
_SINGULAR_S: Final = ("ss", "us", "as")
_HARD_CH: Final = frozenset({"tech", "epoch", "stomach", "monarch", "loch", "patriarch"})
_WITH_OES: Final = frozenset({"hero", "potato", "tomato", "echo", "veto", "torpedo"})
_WITH_VES: Final = frozenset(
    {*("knife", "life", "wife", "leaf", "half", "shelf", "self", "loaf", "thief", "wolf", "calf", "elf")}
)
_VOWELS: Final = frozenset("aeiou")


def plural_of(name: str) -> str:
    """The plural of a name; only its last word changes: `news_item` → `news_items`, `status` → `statuses`."""
    bare = name.rstrip("_")
    before, underscore, word = bare.rpartition("_")
    return f"{before}{underscore}{_plural(word)}{name[len(bare) :]}"


def _plural(word: str) -> str:
    if word in _UNCHANGED or not word:
        return word
    if len(word) == 1:
        return f"{word}s"
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _WITH_VES:
        return f"{word.removesuffix('e').removesuffix('f')}ves"
    if word.endswith(("sis", "xis")):
        return f"{word[:-2]}es"
    if word.endswith("s") and not word.endswith(_SINGULAR_S) and word != "lens":
        return word
    if word in _WITH_OES or (word.endswith(("s", "x", "z", "ch", "sh")) and word not in _HARD_CH):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in _VOWELS:
        return f"{word[:-1]}ies"
    return f"{word}s"
