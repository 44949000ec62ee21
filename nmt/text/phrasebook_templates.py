"""The templates of the built-in phrasebook: each kind of sentence with the words that may fill its slots.

This module knows which words make sense together: one drinks tea, loses a passport and visits a castle. It knows nothing
of seeds and splits (`nmt.text.phrasebook`), nor how sentences are built (`nmt.text.phrasebook_sentences`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import permutations, product
from typing import Any, NamedTuple

from nmt.text import phrasebook_lexicon as lexicon
from nmt.text import phrasebook_sentences as sentences
from nmt.text.phrasebook_grammar import (
    HE,
    IT,
    ME,
    NOTHING,
    PRONOUNS,
    SHE,
    THEY,
    WE,
    YOU,
    Phrase,
    Tense,
    noun_phrase,
    sew,
    together,
)
from nmt.text.phrasebook_lexicon import (
    CITIES,
    DAYS,
    MY,
    NOT_A,
    NOT_ANY,
    NUMBERS,
    SOME,
    THE,
    THIS,
    VERBS,
    YOUR,
    A,
    Adjective,
    Determiner,
    Noun,
    Pair,
    Verb,
    adjectives,
    nouns,
)
from nmt.text.phrasebook_sentences import Mood, Predicate, State, Usage


class Template(NamedTuple):
    """A function that builds a sentence, and the words that may fill each of its arguments."""

    build: Callable[..., Pair]
    slots: tuple[Sequence[Any], ...]

    @property
    def num_sentences(self) -> int:
        """The number of ways to fill the slots."""
        return math.prod(len(slot) for slot in self.slots)

    def sentence(self, number: int) -> Pair:
        """Returns one of the sentences by its number, from 0."""
        fillers = []
        for slot in self.slots:
            number, choice = divmod(number, len(slot))
            fillers.append(slot[choice])
        return sew(self.build(*fillers))


# --- Words that go together -------------------------------------------------------------------------------------------


def _phrases(determiners: Iterable[Determiner], words: Sequence[Noun]) -> tuple[Phrase, ...]:
    return tuple(noun_phrase(determiner, noun) for determiner in determiners for noun in words)


def _said(phrases: Iterable[Phrase], english: str = "", french: str = "") -> tuple[Pair, ...]:
    """Returns the words of the phrases after the prepositions."""
    return tuple(together((english, french), phrase.words) for phrase in phrases)


def _usages(text: str) -> tuple[Usage, ...]:
    """Reads "buy: past future, sell: past" as the verbs in their tenses."""
    verbs = (part.split(": ") for part in text.split(", "))
    return tuple(Usage(VERBS[verb], Tense[tense.upper()]) for verb, tenses in verbs for tense in tenses.split())


def _predicates(usages: str, *rests: Iterable[Pair]) -> tuple[Predicate, ...]:
    """Returns each usage with each combination of one pair from each of the rests."""
    return tuple(Predicate(*usage, together(*chosen)) for usage, *chosen in product(_usages(usages), *rests))


def _verbs(*names: str) -> tuple[Verb, ...]:
    return tuple(VERBS[name] for name in names)


def _apart(first: Iterable[Any], second: Sequence[Any]) -> tuple[tuple[Any, Any], ...]:
    return tuple((one, other) for one, other in product(first, second) if one != other)


def _meetings(others: Sequence[Phrase]) -> tuple[tuple[Phrase, Phrase], ...]:
    """Returns who can do something to whom: not I to me, nor we to me."""
    same = ({ME, WE}, {YOU})
    return tuple(pair for pair in product(SPEAKERS, others) if not any(group.issuperset(pair) for group in same))


def _counted(words: Sequence[Noun]) -> tuple[Pair, ...]:
    return tuple(
        (f"{english} {noun.english}", f"{french} {noun.french}") for noun in words for english, french in NUMBERS
    )


def _degrees(words: Iterable[Adjective | Pair], *degrees: str) -> tuple[State, ...]:
    """Returns each word in each of the degrees, but nothing "very closed"."""
    known = {"": ("{}", "{}"), "very": ("very {}", "très {}"), "too": ("too {}", "trop {}")}
    known |= {"enough": ("{} enough", "assez {}"), "today": ("{} today", "{} aujourd'hui")}
    return tuple(
        State(word, known[degree])
        for word, degree in product(words, degrees)
        if degree in ("", "today") or not (isinstance(word, Adjective) and "absolute" in word.tags)
    )


def _descriptions(determiners: Sequence[Determiner], *tags: str) -> tuple[tuple[Phrase, State], ...]:
    """Returns each thing with what can be said of it."""
    return tuple(
        (noun_phrase(determiner, noun), state)
        for determiner, noun in product(determiners, nouns(*tags))
        for state in _degrees(adjectives(*noun.tags), "", "very", "too", "enough")
    )


def _described(determiner: Determiner, words: Iterable[Noun], *kinds: str) -> tuple[Phrase, ...]:
    """Returns each noun with each adjective of the kinds, by default of all that can be said of it."""
    return tuple(noun_phrase(determiner, noun, word) for noun in words for word in adjectives(*(kinds or noun.tags)))


def _small_red(words: Iterable[Noun]) -> tuple[Phrase, ...]:
    looks = [adjective for adjective in adjectives("goods", "novelty") if adjective.before]
    return tuple(noun_phrase(A, noun, *chosen) for noun in words for chosen in product(looks, adjectives("colour")))


def _clock() -> tuple[Pair, ...]:
    times = [("at noon", "à midi"), ("at midnight", "à minuit")]
    for english, french in [("one", "une heure"), *((hour, f"{heure} heures") for hour, heure in NUMBERS)]:
        times += [
            (f"at {english} o'clock", f"à {french}"),
            (f"at a quarter past {english}", f"à {french} et quart"),
            (f"at half past {english}", f"à {french} et demie"),
            (f"at a quarter to {english}", f"à {french} moins le quart"),
        ]
    return tuple(times)


def _vehicles(destinations: Iterable[Pair]) -> tuple[Phrase, ...]:
    """Returns the train for Lyon and its like."""
    vehicles = product(_phrases([THE], nouns("vehicle")), destinations)
    extended = ((vehicle, together(vehicle.words, city)) for vehicle, city in vehicles)
    return tuple(replace(vehicle, english=english, french=french) for vehicle, (english, french) in extended)


def _meals(determiner: Determiner) -> tuple[Predicate, ...]:
    food, drink = (_said(_phrases([determiner], nouns(tag))) for tag in ("food", "drink"))
    return (
        *_predicates("eat: present past", food),
        *_predicates("drink: present past", drink),
        *_predicates("want: present, order: past, buy: future", food + drink),
    )


def _comparisons(kind: str) -> tuple[tuple[Adjective, str], ...]:
    comparable = [adjective for adjective in adjectives(kind) if adjective.comparative != "-"]
    less = [(adjective, "less") for adjective in comparable if adjective.comparative.startswith("more ")]
    return (*product(comparable, ("more", "as", "not as")), *less)


def _weather(tense: Tense, *details: Iterable[Pair]) -> tuple[Predicate, ...]:
    kinds = [Predicate(lexicon.BE_FAIRE, tense, kind) for kind in lexicon.WEATHER]
    kinds += [Predicate(VERBS[verb], tense, NOTHING) for verb in ("rain", "snow")]
    return tuple(kind._replace(rest=together(kind.rest, *chosen)) for kind, *chosen in product(kinds, *details))


# --- What fills the slots ---------------------------------------------------------------------------------------------

STRANGERS = _phrases([THE], nouns("stranger"))
FAMILY = (*PRONOUNS, *_phrases([MY], nouns("family")))
SPEAKERS, FEW = (*FAMILY, *STRANGERS), (*PRONOUNS, *STRANGERS)
ASKED = (YOU, HE, SHE, WE, THEY, *_phrases([YOUR], nouns("close")))
THIRD_PARTIES = (ME, HE, SHE, WE, THEY)
BELONGINGS, GOODS, FETCHED, AMENITIES = (nouns(tag) for tag in ("belonging", "goods", "fetched", "amenity"))
PLACES, VENUES, SIGHTS = (nouns(tag, plural=False) for tag in ("place", "venue", "sight"))

SAID, DENIED, ASKING = (Mood.STATEMENT,), (Mood.NEGATION,), (Mood.QUESTION,)
ASSERTED, IN_ANY_MOOD = SAID + DENIED, tuple(Mood)
LOSE_OR_FORGET = _verbs("lose", "forget")
AT_VENUES = _said(_phrases([THE], VENUES), "at", "à")
TO_VENUES = _said(_phrases([THE], VENUES), "to", "à")
FOR_CITIES = tuple((f"for {english}", f"pour {french}") for english, french in CITIES)
FROM_CITIES = tuple((f"from {english}", f"de {french}") for english, french in CITIES)
IN_CITIES = tuple((f"in {english}", f"à {french}") for english, french in CITIES)
ON_DAYS = (NOTHING, *((f"on {english}", french) for english, french in DAYS))
EVERY_DAY = (
    ("every day", "tous les jours"),
    *((f"every {english}", f"tous les {french}s") for english, french in DAYS),
)
SINCE = (
    *((f"since {english}", f"depuis {french}") for english, french in (*lexicon.PAST_TIMES, *DAYS)),
    *((f"for {english} days", f"depuis {french} jours") for english, french in NUMBERS),
)
THE_PLACES, HANDED = _phrases([THE], PLACES), _phrases([THE, A, MY], FETCHED)
SERVED = (*HANDED, *_described(THIS, GOODS, "colour"), *_described(A, nouns("amenity"), "household", "seat"))
THE_BELONGINGS, A_SERVICE = _said(_phrases([THE], BELONGINGS)), _said(_phrases([A], FETCHED))
A_GOOD_SERVICE = _said(_described(A, nouns("household", "seat"), "household", "seat"))
SERVINGS = _said(_described(SOME, nouns("food", "drink")))
NO_THINGS = _said(_phrases([NOT_A], (*FETCHED, *nouns("belonging", plural=True))))

ERRANDS = _predicates("find: past can, lose: past, look for: present past, take: past future", THE_BELONGINGS)
SHOPPING = _predicates(
    "buy: past future want, sell: past, look for: present", _said(_described(A, GOODS, "colour", "goods", "novelty"))
)
CHOICES = _predicates("buy: past want, choose: past", _said(_small_red(GOODS)))
TOURS = _predicates("visit: past future want", _said(_described(THE, (*SIGHTS, *nouns("sight", plural=True)), "sight", "novelty")))
LACKS = _predicates("have: present, want: present, buy: past", NO_THINGS)
NEEDS = tuple(
    Predicate(VERBS["need"], Tense.PRESENT, (english, f"besoin de {french}"))
    for english, french in A_SERVICE + A_GOOD_SERVICE + _counted(nouns("amenity", plural=True))
)
TRIPS = _predicates("go: past, go back: past", TO_VENUES, (NOTHING, *lexicon.PAST_TIMES)) + _predicates(
    "arrive: past, stay: past", AT_VENUES, (NOTHING, *lexicon.PAST_TIMES)
)
PLANS = _predicates("stay: future", AT_VENUES) + _predicates("go back: present", TO_VENUES)
INTENTIONS = _predicates("go: present, go back: future must want", TO_VENUES, (NOTHING, *lexicon.FUTURE_TIMES))
HABITS = _predicates("work: habit", AT_VENUES, EVERY_DAY) + _predicates("go: habit", TO_VENUES, EVERY_DAY)
TRAVELS = (
    *_predicates("leave: past future", FOR_CITIES, ON_DAYS),
    *_predicates("come back: past future", FROM_CITIES, ON_DAYS),
    *_predicates("arrive: past future", IN_CITIES, ON_DAYS),
)
PUNCTUAL = _predicates("arrive: past future, leave: past must", _clock())
DEPARTURES, ARRIVALS = _predicates("leave: habit", _clock()), _predicates("arrive: habit", _clock())
OPENING_HOURS = _predicates("open: habit, close: habit", _clock())
PRICES = _predicates("cost: habit", tuple((f"{en} euros", f"{fr} euros") for en, fr in NUMBERS + lexicon.TENS))
AGES = tuple(
    Predicate(lexicon.BE_AVOIR, Tense.PRESENT, (f"{english} years old", f"{french} ans"))
    for english, french in NUMBERS[5:] + lexicon.TENS
)
LANGUAGES = _predicates("speak: habit", lexicon.LANGUAGES)
SPOTS = tuple(Predicate(VERBS["be"], Tense.PRESENT, spot) for spot in lexicon.SPOTS)
SOMEWHERE, NOW = (NOTHING, *IN_CITIES), (NOTHING, ("today", "aujourd'hui"))
MEETINGS = _usages(
    "know: present, see: past, hear: past, understand: present, help: past future, thank: past, wait for: present"
)
GIFTS, HAND_OVER = _usages("give: past future, show: past, bring: past"), _verbs("give", "bring", "show")
FINDS = _predicates("buy: past, lose: past, find: past, forget: past", THE_BELONGINGS)
WANTS = _predicates("have: present, want: present, look for: present, buy: future", A_SERVICE)
RETURNS = _predicates("leave: past future", FOR_CITIES) + _predicates("come back: past future", FROM_CITIES)
MYSTERIES = _predicates("look for: present, want: present, buy: future", (NOTHING,)) + _predicates(
    "buy: past, choose: past, eat: past, drink: past, order: past", (NOTHING, *lexicon.PAST_TIMES)
)
PREFERENCES = _usages("prefer: present, choose: past, want: present, buy: past")
QUANTITIES = _usages("need: present, want: present, have: present, buy: past, lose: past")
HUNGRY, TIRED = _degrees(lexicon.FEELINGS, "", "very"), _degrees(adjectives("state"), "", "very", "today")
THINGS = _descriptions([THE, THIS], "belonging", "goods", "sight", "household", "seat", "food", "drink")
CLOSED = tuple(
    State(adjective, (f"{{}} on {english}s", f"{{}} le {french}"))
    for adjective in adjectives("venue")
    for english, french in DAYS
)
VERDICTS = (
    *((state, Mood.STATEMENT) for state in _degrees(adjectives("merit"), "", "very")),
    *((state, Mood.NEGATION) for state in _degrees(adjectives("fault"), "too")),
)
EVENTS = (
    *((usage, Mood.STATEMENT) for usage in _usages("lose: past, forget: past, take: past")),
    *((usage, Mood.NEGATION) for usage in _usages("find: can, see: present")),
)
COLOURED_PAIRS = tuple(
    (noun_phrase(THE, noun, one), noun_phrase(THE, noun, other))
    for noun in GOODS
    for one, other in permutations(adjectives("colour"), 2)
)
RELATIVES = tuple(
    (stranger, relative)
    for stranger, relative in product(_phrases([THE], nouns("passer-by")), _phrases([MY], nouns("family")))
    if (stranger.gender, stranger.plural) == (relative.gender, relative.plural)
)
NEIGHBOURS = (
    *(
        (place, together(relation, noun_phrase(THE, landmark).words))
        for (place, landmark), relation in product(permutations(PLACES, 2), lexicon.RELATIONS)
    ),
    *product(nouns("amenity", plural=True), lexicon.SPOTS),
)
OF_CITIES = tuple((f"in {english}", f"de {french}") for english, french in (*CITIES, ("the city", "la ville")))
COMPARABLE = tuple(adjective for adjective in adjectives("sight") if adjective.comparative != "-")
OPENINGS = (NOTHING, ("excuse me,", "excusez-moi,"), ("good morning,", "bonjour,"), ("good evening,", "bonsoir,"))
MEANS = (NOTHING, ("by bus", "en bus"), ("by train", "en train"), ("by car", "en voiture"), ("on foot", "à pied"))
STEPS = (
    ("turn left", "tournez à gauche"),
    ("turn right", "tournez à droite"),
    ("go straight ahead", "continuez tout droit"),
    *(
        (f"take the {english} street on the {side}", f"prenez la {french} rue à {main}")
        for english, french in (("first", "première"), ("second", "deuxième"), ("third", "troisième"))
        for side, main in (("left", "gauche"), ("right", "droite"))
    ),
)
LANDMARKS = _said(THE_PLACES, "after", "après") + _said(THE_PLACES, "before", "avant")
ROUTES = (*((step, NOTHING) for step in STEPS), *product(STEPS[:3], STEPS), *product(STEPS[3:], STEPS[:2]))
WISHES = (
    (("I would like", "je voudrais"), Mood.STATEMENT),
    (("I'd like", "je voudrais"), Mood.STATEMENT),
    (("we would like", "nous voudrions"), Mood.STATEMENT),
    (("can I have", "puis-je avoir"), Mood.QUESTION),
    (("can we have", "pouvons-nous avoir"), Mood.QUESTION),
)
WISHED = (
    *_said(_phrases([SOME], nouns("food", "drink", "ingredient"))),
    *SERVINGS,
    *A_SERVICE,
    *A_GOOD_SERVICE,
    *((f"a room for {english} nights", f"une chambre pour {french} nuits") for english, french in NUMBERS),
    *(together(tickets, city) for tickets, city in product(_counted(nouns("ticket", plural=True)), FOR_CITIES)),
)


def _template(build: Callable[..., Pair], *slots: Sequence[Any]) -> Template:
    return Template(build, slots)


TEMPLATES = (
    _template(sentences.say, FEW, ERRANDS, ASSERTED),  # My sister didn't find the key.
    _template(sentences.say, FEW, SHOPPING, SAID),  # The doctor is looking for an old umbrella.
    _template(sentences.say, PRONOUNS, CHOICES, SAID),  # She bought a small black bag.
    _template(sentences.say, FEW, TOURS, SAID),  # We are going to visit the old castle.
    _template(sentences.say, FEW, _meals(SOME), SAID),  # The woman drank some tea.
    _template(sentences.say, FEW, _meals(NOT_ANY), DENIED),  # The tourists don't want any bread.
    _template(sentences.say, FEW, _predicates("order: past, want: present", SERVINGS), SAID),  # I ordered some cold milk.
    _template(sentences.say, FEW, LACKS, DENIED),  # They don't have an umbrella.
    _template(sentences.say, FEW, NEEDS, SAID),  # I need three blankets.
    _template(sentences.say, SPEAKERS, TRIPS, ASSERTED),  # My mother went to the bank yesterday.
    _template(sentences.say, FEW, INTENTIONS, SAID),  # He must go back to the hotel tomorrow.
    _template(sentences.say, SPEAKERS, HABITS, SAID),  # My brother works at the museum every Monday.
    _template(sentences.say, SPEAKERS, TRAVELS, SAID),  # My sisters left for Geneva on Monday.
    _template(sentences.say, FEW, PUNCTUAL, SAID),  # We arrived at half past eight.
    _template(sentences.say, FAMILY, AGES, SAID),  # My daughter is eight years old.
    _template(sentences.say, FEW, LANGUAGES, ASSERTED),  # The waiter doesn't speak French.
    _template(sentences.say, ASKED, (*LANGUAGES, *AGES), ASKING),  # Does your wife speak Italian?
    _template(sentences.say, (IT,), _weather(Tense.PRESENT, SOMEWHERE, NOW), IN_ANY_MOOD),  # It isn't hot in Paris.
    _template(sentences.say, (IT,), _weather(Tense.PAST, SOMEWHERE, lexicon.PAST_TIMES), IN_ANY_MOOD),
    _template(sentences.say, (IT,), _weather(Tense.FUTURE, SOMEWHERE, lexicon.FUTURE_TIMES), IN_ANY_MOOD),
    _template(sentences.say, _described(THIS, GOODS, "colour", "goods"), PRICES, SAID),  # These shoes cost ten euros.
    _template(sentences.say, _vehicles(FOR_CITIES), DEPARTURES, SAID),  # The train for Lyon leaves at noon.
    _template(sentences.say, _vehicles(FROM_CITIES), ARRIVALS, SAID),  # The plane from Rome arrives at five o'clock.
    _template(sentences.say, _phrases([THE], VENUES), OPENING_HOURS, SAID),  # The bank opens at nine o'clock.
    _template(sentences.say, _phrases([THE, MY], nouns("belonging", "amenity")), SPOTS, IN_ANY_MOOD),
    _template(sentences.own, SPEAKERS, LOSE_OR_FORGET, BELONGINGS, (*AT_VENUES, *lexicon.PAST_TIMES)),
    _template(sentences.because, SPEAKERS, _degrees(adjectives("upset"), ""), LOSE_OR_FORGET, BELONGINGS),
    _template(sentences.describe, SPEAKERS, (*TIRED, *HUNGRY), ASSERTED),
    _template(sentences.describe, ASKED, (*TIRED, *HUNGRY), ASKING),  # Is your son hungry?
    _template(sentences.describe, _phrases([THE], VENUES), CLOSED, ASSERTED),  # The museum is closed on Mondays.
    _template(sentences.describe_thing, THINGS, IN_ANY_MOOD),
    _template(sentences.ask_why, ASKED, (*TIRED, *HUNGRY)),
    _template(sentences.ache, SPEAKERS, lexicon.ACHES, (NOTHING, *SINCE)),
    _template(sentences.if_state, SPEAKERS, _degrees((*adjectives("state"), *lexicon.FEELINGS), ""), PLANS),
    _template(sentences.if_weather, _weather(Tense.HABIT), (NOTHING, *lexicon.FUTURE_TIMES[:2]), FEW, PLANS),
    _template(sentences.meet, _meetings(PRONOUNS), MEETINGS, ASSERTED),
    _template(sentences.give, _meetings(THIRD_PARTIES), GIFTS, _phrases([A], nouns("fetched", "goods"))),
    _template(sentences.serve, HAND_OVER, THIRD_PARTIES, SERVED),
    _template(sentences.command, HAND_OVER, THIRD_PARTIES, HANDED),
    _template(sentences.forbid, HAND_OVER, THIRD_PARTIES, _phrases([THE, MY], FETCHED)),
    _template(sentences.missing, _phrases([THE, MY, YOUR], BELONGINGS), SPEAKERS, EVENTS),
    _template(sentences.verdict, _described(THIS, GOODS, "colour"), VERDICTS, PRONOUNS, _usages("buy: future want, take: future")),
    _template(sentences.compare, COLOURED_PAIRS, _comparisons("goods")),
    _template(sentences.compare, _apart(SPEAKERS, SPEAKERS[len(PRONOUNS):]), _comparisons("trait")),
    _template(sentences.superlative, COMPARABLE, SIGHTS, OF_CITIES),
    _template(sentences.thing_that, _phrases([THE], GOODS), FEW, _usages("buy: past, sell: past, find: past, choose: past"), _degrees(adjectives("goods"), "", "very")),
    _template(sentences.person_who, RELATIVES, _predicates("work: habit", AT_VENUES) + _predicates("go: present", TO_VENUES)),
    _template(sentences.locate, _apart(THE_PLACES, THE_PLACES), lexicon.RELATIONS, IN_ANY_MOOD),
    _template(sentences.exist, NEIGHBOURS, IN_ANY_MOOD),
    _template(sentences.where_is, OPENINGS, PLACES, (False, True)),
    _template(sentences.how_to_get, OPENINGS, (ME, WE), THE_PLACES, MEANS),
    _template(sentences.direct, ROUTES, LANDMARKS),
    _template(sentences.what_time, _vehicles(FOR_CITIES), [VERBS["leave"]]),
    _template(sentences.what_time, _vehicles(FROM_CITIES), [VERBS["arrive"]]),
    _template(sentences.what_time, _phrases([THE], VENUES), [VERBS["open"], VERBS["close"]]),
    _template(sentences.how_much, _described(THE, GOODS, "colour", "goods") + _described(THIS, GOODS, "colour", "goods")),
    _template(sentences.order, WISHES, WISHED, (False, True)),
    _template(sentences.which, nouns("goods", plural=True) + nouns("goods", plural=False), ASKED, PREFERENCES),
    _template(sentences.which, nouns("sight", plural=True) + SIGHTS, ASKED, _usages("visit: past future want")),
    _template(sentences.how_many, nouns("belonging", "amenity", plural=True), ASKED, QUANTITIES),
    _template(sentences.who, _usages("find: past, lose: past, take: past, sell: past"), _phrases([THE, MY, YOUR], BELONGINGS)),
    _template(sentences.ask, (NOTHING, ("where", "où")), ASKED, FINDS),
    _template(sentences.ask, (NOTHING,), ASKED, WANTS),
    _template(sentences.ask, (NOTHING, ("when", "quand"), ("why", "pourquoi")), ASKED, RETURNS),
    _template(sentences.ask, (("what", "que"),), ASKED, MYSTERIES),
)  # fmt: skip
