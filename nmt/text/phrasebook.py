"""The built-in corpus: a synchronous grammar that generates English-French sentence pairs of a traveller's world.

A template is a function that builds a sentence in both languages from its slots, with the words that may fill each slot
beside it in `TEMPLATES`. The grammar is finite and unambiguous: every English sentence is generated once, with one French
translation (the rules by which the English decides it are in `nmt.text.phrasebook_grammar`). A stable hash of the French
sentence assigns each pair to a split, so that no sentence of either language is in two splits. French is typed as on a
plain keyboard: straight apostrophes, an ordinary space before a question mark.
"""

from __future__ import annotations

import itertools
import math
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from nmt.errors import CorpusError, did_you_mean
from nmt.text import phrasebook_lexicon as lexicon
from nmt.text.corpus import SentencePair
from nmt.text.phrasebook_grammar import (
    HE,
    IT,
    ME,
    NOTHING,
    PRONOUNS,
    SHE,
    WE,
    YOU,
    Phrase,
    Tense,
    clause,
    direct_object,
    indirect_object,
    noun_phrase,
    possessive,
    sew,
    subject_pronoun,
)
from nmt.text.phrasebook_lexicon import (
    HER, HIS, IL, MY, NOT_A, NOT_ANY, SOME, THE, THIS, VERBS, YOUR, A, Adjective, Determiner, Noun, Pair, Verb, adjectives, nouns,
)

Usage = tuple[Verb, Tense]

# --- The words that fill the slots -----------------------------------------------------------------------------------


def _phrases(determiners: Sequence[Determiner], words: Sequence[Noun]) -> tuple[Phrase, ...]:
    return tuple(noun_phrase(determiner, noun) for determiner in determiners for noun in words)


def _described(determiner: Determiner, words: Sequence[Noun], kinds: Sequence[str] = ()) -> tuple[Phrase, ...]:
    """Every noun with every adjective that can be said of it."""
    return tuple(
        noun_phrase(determiner, noun, adjective)
        for noun in words
        for adjective in adjectives(*(kinds or noun.tags))
    )


def _usages(*rows: str) -> tuple[Usage, ...]:
    """Reads "buy: past future" as the verb in each of the tenses."""
    split = (row.split(": ") for row in rows)
    return tuple((VERBS[verb], Tense[tense.upper()]) for verb, tenses in split for tense in tenses.split())


def _apart(first: Sequence[Any], second: Sequence[Any]) -> tuple[tuple[Any, Any], ...]:
    return tuple(pair for pair in itertools.product(first, second) if pair[0] != pair[1])


FAMILY = _phrases([MY], nouns("family"))
STRANGERS = _phrases([THE], nouns("stranger"))
SPEAKERS = PRONOUNS + FAMILY + STRANGERS
ASKED = PRONOUNS[1:] + _phrases([YOUR], nouns("family")) + STRANGERS
