"""The sentences of the built-in phrasebook: templates, and the words that may fill their slots.

Most sentences are somebody who does something: `say` and `ask` build those, and the rows of `TEMPLATES` give the subjects,
predicates and moods that go together. What is built otherwise has a function of its own. This module knows which words
make sense together; it knows nothing of seeds, of splits and of how templates are drawn.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from nmt.text import phrasebook_lexicon as words
from nmt.text.phrasebook_grammar import (
    HE,
    IT,
    ME,
    NOTHING,
    PRONOUNS,
    SHE,
    THEY,
    WE,
    WHO,
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
    together,
)
from nmt.text.phrasebook_lexicon import MY, THE, THIS, VERBS, YOUR, A, Adjective, Determiner, Noun, Pair, Verb, nouns


class Template(NamedTuple):
    """A function that builds a sentence in both languages, and what may fill each of its arguments."""

    build: Callable[..., Pair]
    slots: tuple[Sequence[object], ...]

    @property
    def num_sentences(self) -> int:
        """The number of ways to fill the slots; each gives another English sentence."""
        return math.prod(len(slot) for slot in self.slots)

    def sentence(self, number: int) -> Pair:
        """Returns one of the sentences, by its number from 0."""
        fillers = []
        for slot in self.slots:
            number, choice = divmod(number, len(slot))
            fillers.append(slot[choice])
        return sew(self.build(*fillers))


class Mood(Enum):
    """How a clause is said."""

    STATEMENT = "."
    NEGATION = "not"
    QUESTION = "?"


class Predicate(NamedTuple):
    """What somebody does."""

    verb: Verb
    tense: Tense
    rest: Pair = NOTHING


class State(NamedTuple):
    """How somebody is: with "être" and an adjective, or with "avoir" and a feeling."""

    complement: Adjective | Pair
    degree: Pair = ("{}", "{}")


# --- Sentences --------------------------------------------------------------------------------------------------------


def _punctuate(mood: Mood, *clauses: Pair) -> Pair:
    english, french = together(*clauses)
    return (f"{english}?", f"{french} ?") if mood is Mood.QUESTION else (f"{english}.", f"{french}.")


def _statement(*clauses: Pair) -> Pair:
    return _punctuate(Mood.STATEMENT, *clauses)


def _question(*clauses: Pair) -> Pair:
    return _punctuate(Mood.QUESTION, *clauses)


def _comma(pair: Pair) -> Pair:
    return f"{pair[0]},", f"{pair[1]},"


def _be(subject: Phrase, state: State, mood: Mood = Mood.STATEMENT, question: Pair = NOTHING) -> Pair:
    verb, complement = words.BE_AVOIR, state.complement
    if isinstance(complement, Adjective):
        verb, complement = VERBS["be"], (complement.english, complement.alone(subject.gender, subject.plural))
    rest = state.degree[0].format(complement[0]), state.degree[1].format(complement[1])
    asked = question if mood is Mood.QUESTION else None
    return clause(subject, verb, Tense.PRESENT, rest, negative=mood is Mood.NEGATION, question=asked)


def say(subject: Phrase, predicate: Predicate, mood: Mood) -> Pair:
    """My sister didn't find the key."""
    question = NOTHING if mood is Mood.QUESTION else None
    return _punctuate(mood, clause(subject, *predicate, negative=mood is Mood.NEGATION, question=question))


def ask(question: Pair, subject: Phrase, predicate: Predicate) -> Pair:
    """Where did your brother buy this hat?"""
    return _question(clause(subject, *predicate, question=question))


def describe(subject: Phrase, state: State, mood: Mood) -> Pair:
    """My parents are very tired."""
    return _punctuate(mood, _be(subject, state, mood))


def describe_thing(described: tuple[Phrase, State], mood: Mood) -> Pair:
    """These shoes aren't big enough."""
    return describe(*described, mood)


def ask_why(subject: Phrase, state: State) -> Pair:
    """Why is your wife worried?"""
    return _question(_be(subject, state, Mood.QUESTION, ("why", "pourquoi")))


def own(subject: Phrase, verb: Verb, noun: Noun, where: Pair) -> Pair:
    """My aunt lost her watch at the museum."""
    thing = noun_phrase(possessive(subject), noun)
    return _statement(clause(subject, verb, Tense.PAST, together(thing.words, where)))


def because(subject: Phrase, state: State, verb: Verb, noun: Noun) -> Pair:
    """My son is sad because he lost his phone."""
    thing = noun_phrase(possessive(subject), noun)
    reason = clause(subject_pronoun(subject), verb, Tense.PAST, thing.words)
    return _statement(_be(subject, state), ("because", "parce que"), reason)


def if_state(subject: Phrase, state: State, plan: Predicate) -> Pair:
    """If my mother is tired, she is going to stay at the hotel."""
    condition = together(("if", "si"), _be(subject, state))
    return _statement(_comma(condition), clause(subject_pronoun(subject), *plan))


def if_weather(weather: Predicate, time: Pair, subject: Phrase, plan: Predicate) -> Pair:
    """If it rains tomorrow, we are going to stay at the hotel."""
    condition = together(("if", "si"), clause(IT, *weather), time)
    return _statement(_comma(condition), clause(subject, *plan))


def people(persons: tuple[Phrase, Phrase], usage: tuple[Verb, Tense], mood: Mood) -> Pair:
    """The waiter didn't understand us."""
    subject, person = persons
    english, french = direct_object(person)
    negative = mood is Mood.NEGATION
    return _statement(
        clause(subject, *usage, (english, ""), negative=negative, clitic=french, antecedent=person)
    )


def give(persons: tuple[Phrase, Phrase], usage: tuple[Verb, Tense], thing: Phrase) -> Pair:
    """My uncle gave her a watch."""
    subject, person = persons
    english, french = indirect_object(person)
    return _statement(clause(subject, *usage, together((english, ""), thing.words), clitic=french))


def serve(verb: Verb, person: Phrase, thing: Phrase) -> Pair:
    """Can you show me this blue dress, please?"""
    english, french = indirect_object(person)
    rest = together((english, ""), thing.words)
    return _question(_comma(clause(YOU, verb, Tense.CAN, rest, question=NOTHING, clitic=french)), words.PLEASE)


def command(verb: Verb, person: Phrase, thing: Phrase, negative: bool) -> Pair:
    """Don't give him the key."""
    english, french = indirect_object(person)
    if negative:
        order = f"don't {verb.base} {english}", f"ne {french} {verb.present[words.VOUS]} pas"
        return _statement(order, thing.words)
    order = f"{verb.base} {english}", f"{verb.present[words.VOUS]}-{'moi' if person is ME else french}"
    return _statement(_comma(together(order, thing.words)), words.PLEASE)


def missing(thing: Phrase, subject: Phrase, event: tuple[Verb, Tense, Mood]) -> Pair:
    """Where is my watch? I can't find it."""
    verb, tense, mood = event
    english, french = direct_object(thing)
    where = _question(clause(thing, VERBS["be"], Tense.PRESENT, question=("where", "")))
    return _statement(where, clause(subject, verb, tense, (english, ""), clitic=french, antecedent=thing))


def verdict(thing: Phrase, judgement: tuple[State, Mood], subject: Phrase, usage: tuple[Verb, Tense]) -> Pair:
    """This red hat is too expensive. I don't want to buy it."""
    state, mood = judgement
    english, french = direct_object(thing)
    decision = clause(subject, *usage, (english, ""), negative=mood is Mood.NEGATION, clitic=french)
    return _statement(_statement(_be(thing, state)), decision)
