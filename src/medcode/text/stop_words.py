"""Frequent words without a meaning of their own."""

from __future__ import annotations

# Words that say nothing about a condition or a procedure. English and Spanish, without accents.
STOP_WORDS = frozenset({
    "a", "an", "and", "any", "are", "as", "at", "be", "been", "by", "due", "during", "for", "from", "had", "has", "he",
    "her", "his", "in", "into", "is", "it", "its", "of", "on", "or", "she", "that", "the", "their", "there", "these",
    "they", "this", "those", "to", "was", "were", "which", "who", "with", "within",
    "al", "como", "con", "de", "del", "e", "el", "en", "entre", "era", "es", "esta", "este", "fue", "ha", "la", "las",
    "le", "lo", "los", "o", "para", "por", "que", "se", "ser", "sin", "sobre", "su", "sus", "u", "un", "una", "y",
})  # fmt: skip
