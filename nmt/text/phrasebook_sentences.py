"""The kinds of sentence of the built-in phrasebook, each a function from its words to both languages.

Most sentences are somebody who does something: `say` and `ask` build those. What is built otherwise has a function of
its own. What they return is raw: `nmt.text.phrasebook_grammar.sew` makes it a sentence. The docstrings are examples.
This module knows how sentences are built; which words make sense in them is told in `nmt.text.phrasebook_templates`.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from nmt.text.phrasebook_grammar import (
    HE,
    IT,
    ME,
    NOTHING,
    YOU,
    Phrase,
    Tense,
    clause,
    direct_object,
    indirect_object,
    noun_phrase,
    possessive,
    subject_pronoun,
    together,
)
from nmt.text.phrasebook_lexicon import (
    BE_AVOIR,
    IL,
    NOT_A,
    THE,
    VERBS,
    VOUS,
    A,
    Adjective,
    Noun,
    Pair,
    Verb,
)

PLEASE: Pair = ("please", "s'il vous plaît")


class Mood(Enum):
    """How a clause is said."""

    STATEMENT = "."
    NEGATION = "not"
    QUESTION = "?"


class Usage(NamedTuple):
    """A verb in a tense."""

    verb: Verb
    tense: Tense


class Predicate(NamedTuple):
    """What somebody does."""

    verb: Verb
    tense: Tense
    rest: Pair


class State(NamedTuple):
    """How somebody is: with "être" and an adjective, or with "avoir" and a feeling."""

    complement: Adjective | Pair
    degree: Pair = ("{}", "{}")


def _punctuate(mood: Mood, *clauses: Pair) -> Pair:
    english, french = together(*clauses)
    return (f"{english}?", f"{french} ?") if mood is Mood.QUESTION else (f"{english}.", f"{french}.")


def _statement(*clauses: Pair) -> Pair:
    return _punctuate(Mood.STATEMENT, *clauses)


def _question(*clauses: Pair) -> Pair:
    return _punctuate(Mood.QUESTION, *clauses)


def _comma(*clauses: Pair) -> Pair:
    english, french = together(*clauses)
    return f"{english},", f"{french},"


def _is(subject: Phrase) -> Pair:
    return ("are", "sont") if subject.plural else ("is", "est")


def _be(subject: Phrase, state: State, mood: Mood = Mood.STATEMENT, question: Pair = NOTHING) -> Pair:
    verb, complement = BE_AVOIR, state.complement
    if isinstance(complement, Adjective):
        verb, complement = VERBS["be"], (complement.english, complement.alone(subject.gender, subject.plural))
    rest = state.degree[0].format(complement[0]), state.degree[1].format(complement[1])
    asked = question if mood is Mood.QUESTION else None
    return clause(subject, verb, Tense.PRESENT, rest, negative=mood is Mood.NEGATION, question=asked)


# --- Somebody does or is something ------------------------------------------------------------------------------------


def say(subject: Phrase, predicate: Predicate, mood: Mood) -> Pair:
    """The waiter didn't find the key."""
    question = NOTHING if mood is Mood.QUESTION else None
    return _punctuate(mood, clause(subject, *predicate, negative=mood is Mood.NEGATION, question=question))


def ask(question: Pair, subject: Phrase, predicate: Predicate) -> Pair:
    """Where did your son buy the hat?"""
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
    """My sister lost her watch at the museum."""
    thing = noun_phrase(possessive(subject), noun)
    return _statement(clause(subject, verb, Tense.PAST, together(thing.words, where)))


def ache(subject: Phrase, ailment: Pair, since: Pair) -> Pair:
    """My daughter has had a headache since Monday."""
    english, french = clause(subject, VERBS["have"], Tense.PRESENT, together(ailment, since))
    if since != NOTHING:
        have = VERBS["have"].third if subject.person == IL else VERBS["have"].base
        english = english.replace(f"{have} ", f"{have} had ", 1)
    return _statement((english, french))


def because(subject: Phrase, state: State, verb: Verb, noun: Noun) -> Pair:
    """My son is sad because he lost his phone."""
    thing = noun_phrase(possessive(subject), noun)
    reason = clause(subject_pronoun(subject), verb, Tense.PAST, thing.words)
    return _statement(_be(subject, state), ("because", "parce que"), reason)


def if_state(subject: Phrase, state: State, plan: Predicate) -> Pair:
    """If my mother is tired, she is going to stay at the hotel."""
    condition = _comma(("if", "si"), _be(subject, state))
    return _statement(condition, clause(subject_pronoun(subject), *plan))


def if_weather(weather: Predicate, time: Pair, subject: Phrase, plan: Predicate) -> Pair:
    """If it rains tomorrow, we are going to stay at the hotel."""
    condition = _comma(("if", "si"), clause(IT, *weather), time)
    return _statement(condition, clause(subject, *plan))


# --- Object pronouns --------------------------------------------------------------------------------------------------


def meet(persons: tuple[Phrase, Phrase], usage: Usage, mood: Mood) -> Pair:
    """The waiter doesn't understand us."""
    subject, person = persons
    english, french = direct_object(person)
    negative = mood is Mood.NEGATION
    return _statement(clause(subject, *usage, (english, ""), negative=negative, clitic=french, antecedent=person))


def give(persons: tuple[Phrase, Phrase], usage: Usage, thing: Phrase) -> Pair:
    """My mother gave her a watch."""
    subject, person = persons
    english, french = indirect_object(person)
    return _statement(clause(subject, *usage, together((english, ""), thing.words), clitic=french))


def serve(verb: Verb, person: Phrase, thing: Phrase) -> Pair:
    """Can you show me this blue dress, please?"""
    english, french = indirect_object(person)
    rest = together((english, ""), thing.words)
    return _question(_comma(clause(YOU, verb, Tense.CAN, rest, question=NOTHING, clitic=french)), PLEASE)


def command(verb: Verb, person: Phrase, thing: Phrase) -> Pair:
    """Give me the key, please."""
    english, french = indirect_object(person)
    order = f"{verb.base} {english}", f"{verb.present[VOUS]}-{'moi' if person == ME else french}"
    return _statement(_comma(order, thing.words), PLEASE)


def forbid(verb: Verb, person: Phrase, thing: Phrase) -> Pair:
    """Don't give him the key."""
    english, french = indirect_object(person)
    return _statement((f"don't {verb.base} {english}", f"ne {french} {verb.present[VOUS]} pas"), thing.words)


def missing(thing: Phrase, subject: Phrase, event: tuple[Usage, Mood]) -> Pair:
    """Where is my watch? I can't find it."""
    usage, mood = event
    english, french = direct_object(thing)
    negative = mood is Mood.NEGATION
    answer = clause(subject, *usage, (english, ""), negative=negative, clitic=french, antecedent=thing)
    return _statement(_question(("where", "où"), _is(thing), thing.words), answer)


def verdict(thing: Phrase, judgement: tuple[State, Mood], subject: Phrase, usage: Usage) -> Pair:
    """This red hat is too expensive. I don't want to buy it."""
    state, mood = judgement
    english, french = direct_object(thing)
    decision = clause(subject, *usage, (english, ""), negative=mood is Mood.NEGATION, clitic=french)
    return _statement(_statement(_be(thing, state)), decision)


# --- Comparison and relative clauses ----------------------------------------------------------------------------------


def compare(things: tuple[Phrase, Phrase], comparison: tuple[Adjective, str]) -> Pair:
    """My brother isn't as tall as my sister."""
    (thing, other), (adjective, kind) = things, comparison
    french = adjective.alone(thing.gender, thing.plural)
    rest, mood = {
        "more": ((f"{adjective.comparative} than", f"plus {french} que"), Mood.STATEMENT),
        "less": ((f"less {adjective.english} than", f"moins {french} que"), Mood.STATEMENT),
        "as": ((f"as {adjective.english} as", f"aussi {french} que"), Mood.STATEMENT),
        "not as": ((f"as {adjective.english} as", f"aussi {french} que"), Mood.NEGATION),
    }[kind]
    negative = mood is Mood.NEGATION
    return _statement(clause(thing, VERBS["be"], Tense.PRESENT, together(rest, other.words), negative=negative))


def superlative(adjective: Adjective, noun: Noun, where: Pair) -> Pair:
    """This is the oldest church in Paris."""
    french = adjective.beside(noun.gender, noun.plural)
    article = THE.translations(noun)[1]
    if adjective.before:
        best = f"{article} plus {french} {noun.french}"
    else:
        best = f"{article} {noun.french} {article} plus {french}"
    return _statement(("this is the", "ce est"), (f"{adjective.superlative} {noun.english}", best), where)


def thing_that(thing: Phrase, subject: Phrase, usage: Usage, state: State) -> Pair:
    """The watch that I bought is very old."""
    link, relative = ("that", "que"), clause(subject, *usage, antecedent=thing)
    return _statement(_be(_replace_words(thing, together(thing.words, link, relative)), state))


def person_who(persons: tuple[Phrase, Phrase], predicate: Predicate) -> Pair:
    """The woman who works at the bank is my sister."""
    person, relation = persons
    relative = clause(_replace_words(person, ("who", "qui")), *predicate)
    return _statement(person.words, relative, _is(person), relation.words)


def _replace_words(phrase: Phrase, words: Pair) -> Phrase:
    return replace(phrase, english=words[0], french=words[1])


# --- Places, times and prices -----------------------------------------------------------------------------------------


def locate(places: tuple[Phrase, Phrase], relation: Pair, mood: Mood) -> Pair:
    """The bank is next to the post office."""
    place, landmark = places
    return say(place, Predicate(VERBS["be"], Tense.PRESENT, together(relation, landmark.words)), mood)


def exist(noun_and_place: tuple[Noun, Pair], mood: Mood) -> Pair:
    """Is there a bank near the hotel?"""
    noun, where = noun_and_place
    some, no = noun_phrase(A, noun), noun_phrase(NOT_A, noun)
    verb = _is(some)[0]
    if mood is Mood.STATEMENT:
        return _statement((f"there {verb}", "il y a"), some.words, where)
    if mood is Mood.NEGATION:
        return _statement((f"there {verb}n't", "il ne y a pas"), no.words, where)
    return _question((f"{verb} there", "y a-t-il"), (no.english, some.french), where)


def where_is(opening: Pair, noun: Noun, nearest: bool) -> Pair:
    """Excuse me, where is the nearest bank?"""
    place = noun_phrase(THE, noun)
    if nearest:
        order = f"the nearest {noun.english}", f"{place.french} {THE.translations(noun)[1]} plus proche"
        return _question(opening, ("where is", "où est"), order)
    return _question(opening, ("where is", "où est"), place.words)


def how_to_get(opening: Pair, subject: Phrase, place: Phrase, means: Pair) -> Pair:
    """How can I get to the station by bus?"""
    rest = together(("to", "à"), place.words, means)
    return _question(opening, clause(subject, VERBS["get"], Tense.CAN, rest, question=("how", "comment")))


def direct(route: tuple[Pair, Pair], landmark: Pair) -> Pair:
    """Turn left after the bridge, then take the second street on the right."""
    first, second = route
    if second == NOTHING:
        return _statement(first, landmark)
    return _statement(_comma(first, landmark), ("then", "puis"), second)


def what_time(subject: Phrase, verb: Verb) -> Pair:
    """What time does the train for Lyon leave?"""
    english, _ = clause(subject, verb, Tense.HABIT, question=("what time", ""))
    return _question((english, f"à quelle heure {verb.present[subject.person]} {subject.french}"))


def how_much(thing: Phrase) -> Pair:
    """How much do these shoes cost?"""
    english, _ = clause(thing, VERBS["cost"], Tense.HABIT, question=("how much", ""))
    return _question((english, f"combien {VERBS['cost'].present[thing.person]} {thing.french}"))


def order(opening: tuple[Pair, Mood], thing: Pair, please: bool) -> Pair:
    """I would like two tickets for Geneva, please."""
    wish, mood = opening
    return _punctuate(mood, _comma(wish, thing), PLEASE) if please else _punctuate(mood, wish, thing)


# --- Questions about things -------------------------------------------------------------------------------------------


def which(noun: Noun, subject: Phrase, usage: Usage) -> Pair:
    """Which shoes did your wife choose?"""
    quel = "quel" + ("le" if noun.gender == "f" else "") + ("s" if noun.plural else "")
    question = f"which {noun.english}", f"{quel} {noun.french}"
    return _question(clause(subject, *usage, question=question, antecedent=noun_phrase(THE, noun)))


def how_many(noun: Noun, subject: Phrase, usage: Usage) -> Pair:
    """How many towels do you need?"""
    of, rest = ("de combien de", "besoin") if usage.verb == VERBS["need"] else ("combien de", "")
    question = f"how many {noun.english}", f"{of} {noun.french}"
    return _question(clause(subject, *usage, ("", rest), question=question, antecedent=noun_phrase(THE, noun)))


def who(usage: Usage, thing: Phrase) -> Pair:
    """Who took my umbrella?"""
    return _question(clause(_replace_words(HE, ("who", "qui")), *usage, thing.words))
