"""The templates of the built-in phrasebook: each kind of sentence with the words that may fill its slots.

This module knows which words make sense together: one drinks tea, loses a passport and visits a castle. It knows
nothing of seeds and splits (`nmt.text.phrasebook`), nor of how sentences are built (`nmt.text.phrasebook_sentences`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import permutations, product
from typing import Any, NamedTuple

from nmt.text import phrasebook_lexicon as lexicon
from nmt.text import phrasebook_sentences as sentences
from nmt.text.phrasebook_grammar import IT, NOTHING, PRONOUNS, Phrase, Tense, noun_phrase, sew, together
from nmt.text.phrasebook_lexicon import CITIES, DAYS, FUTURE_TIMES, NUMBERS, PAST_TIMES, Pair, adjectives, nouns
from nmt.text.phrasebook_sentences import Mood, Predicate, State, Usage

ME, YOU, HE, SHE, WE, THEY = PRONOUNS
A, THE, THIS, MY, YOUR, SOME = lexicon.A, lexicon.THE, lexicon.THIS, lexicon.MY, lexicon.YOUR, lexicon.SOME
SAY, DENY, ASK = (Mood.STATEMENT,), (Mood.NEGATION,), (Mood.QUESTION,)


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


# --- Phrases and predicates out of the lexicon ------------------------------------------------------------------------


def _phrases(determiners: Iterable[lexicon.Determiner], *tags: str) -> tuple[Phrase, ...]:
    return tuple(noun_phrase(determiner, noun) for determiner in determiners for noun in nouns(*tags))


def _described(determiner: lexicon.Determiner, words: Iterable[lexicon.Noun], *kinds: str) -> tuple[Phrase, ...]:
    return tuple(noun_phrase(determiner, noun, adjective) for noun in words for adjective in adjectives(*kinds))


def _said(phrases: Iterable[Phrase], english: str = "", french: str = "") -> tuple[Pair, ...]:
    """Returns the words of the phrases, after a preposition."""
    return tuple(together((english, french), phrase.words) for phrase in phrases)


def _after(preposition: Pair, names: Iterable[Pair]) -> tuple[Pair, ...]:
    return tuple(together(preposition, name) for name in names)


def _usages(text: str) -> tuple[Usage, ...]:
    """Reads "buy: past future, sell: past" as the verbs in their tenses."""
    verbs = (part.split(": ") for part in text.split(", "))
    return tuple(Usage(lexicon.VERBS[verb], Tense[tense.upper()]) for verb, tenses in verbs for tense in tenses.split())


def _predicates(usages: str, *rests: Iterable[Pair]) -> tuple[Predicate, ...]:
    """Returns each usage with each combination of one pair from each of the rests."""
    combinations = tuple(together(*chosen) for chosen in product(*rests))
    return tuple(Predicate(*usage, rest) for usage in _usages(usages) for rest in combinations)


def _verbs(*names: str) -> tuple[lexicon.Verb, ...]:
    return tuple(lexicon.VERBS[name] for name in names)


def _degrees(states: Iterable[lexicon.Adjective | Pair], *degrees: str) -> tuple[State, ...]:
    """Returns each state in each of the degrees, but nothing "very closed"."""
    known = {"": ("{}", "{}"), "very": ("very {}", "très {}"), "too": ("too {}", "trop {}")}
    known |= {"enough": ("{} enough", "assez {}"), "today": ("{} today", "{} aujourd'hui")}
    return tuple(
        State(state, known[degree])
        for state, degree in product(states, degrees)
        if degree in ("", "today") or not (isinstance(state, lexicon.Adjective) and "absolute" in state.tags)
    )


def _descriptions(determiners: Sequence[lexicon.Determiner], *tags: str) -> tuple[tuple[Phrase, State], ...]:
    """Returns each thing with all that can be said of it."""
    return tuple(
        (noun_phrase(determiner, noun), state)
        for determiner, noun in product(determiners, nouns(*tags))
        for state in _degrees(adjectives(*noun.tags), "", "very", "too", "enough")
    )


def _comparisons(kind: str) -> tuple[tuple[lexicon.Adjective, str], ...]:
    comparable = [adjective for adjective in adjectives(kind) if adjective.comparative != "-"]
    less = [(adjective, "less") for adjective in comparable if adjective.comparative.startswith("more ")]
    return (*product(comparable, ("more", "as", "not as")), *less)


def _rivals(kind: str) -> tuple[tuple[Phrase, Phrase], ...]:
    """Returns the red bag and the blue bag, and their like."""
    pairs = product(nouns(kind), permutations(adjectives("colour"), 2))
    return tuple((noun_phrase(THE, noun, one), noun_phrase(THE, noun, other)) for noun, (one, other) in pairs)


def _meetings(others: Iterable[Phrase]) -> tuple[tuple[Phrase, Phrase], ...]:
    """Returns who can do something to whom: not I to me, nor we to me."""
    same = ({ME, WE}, {YOU})
    return tuple(pair for pair in product(EVERYBODY, others) if not any(group.issuperset(pair) for group in same))


def _meals(determiner: lexicon.Determiner) -> tuple[Predicate, ...]:
    return (
        *_predicates("eat: present past", _said(_phrases([determiner], "food"))),
        *_predicates("drink: present past", _said(_phrases([determiner], "drink"))),
        *_predicates("want: present, buy: past future", _said(_phrases([determiner], "food", "drink", "ingredient"))),
    )


def _vehicles(destinations: Iterable[Pair]) -> tuple[Phrase, ...]:
    """Returns the train for Lyon, and its like."""
    extended = product(_phrases([THE], "vehicle"), destinations)
    return tuple(
        replace(vehicle, english=f"{vehicle.english} {english}", french=f"{vehicle.french} {french}")
        for vehicle, (english, french) in extended
    )


def _weather(tense: Tense, *details: Iterable[Pair]) -> tuple[Predicate, ...]:
    kinds = (*product([lexicon.BE_FAIRE], lexicon.WEATHER), *product(_verbs("rain", "snow"), [NOTHING]))
    where_and_when = tuple(together(*chosen) for chosen in product(*details))
    return tuple(Predicate(verb, tense, together(kind, detail)) for verb, kind in kinds for detail in where_and_when)


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


def _counted(words: Iterable[lexicon.Noun]) -> tuple[Pair, ...]:
    return tuple(together(number, (noun.english, noun.french)) for noun in words for number in NUMBERS)


# --- Who, what, where and when ----------------------------------------------------------------------------------------

CAST = (*PRONOUNS, *_phrases([THE], "stranger"))
FAMILY = (*PRONOUNS, *_phrases([MY], "family"))
EVERYBODY = (*FAMILY, *_phrases([THE], "stranger"))
ASKED = (YOU, HE, SHE, WE, THEY, *_phrases([YOUR], "close"))
NOT_YOU = (ME, HE, SHE, WE, THEY)
RELATIVES = tuple(
    (stranger, relative)
    for stranger, relative in product(_phrases([THE], "passer-by"), _phrases([MY], "family"))
    if (stranger.gender, stranger.plural) == (relative.gender, relative.plural)
)

GOODS, PLACES, SIGHTS = nouns("goods"), nouns("place", plural=False), nouns("sight", plural=False)
OWNED = nouns("belonging", plural=False) + nouns("belonging", plural=True)
COMPARABLE = tuple(adjective for adjective in adjectives("sight") if adjective.comparative != "-")
THE_PLACES, AMENITIES = tuple(noun_phrase(THE, noun) for noun in PLACES), nouns("amenity", plural=True)
THINGS = _descriptions([THE, THIS], "belonging", "goods", "sight", "household", "seat", "food", "drink")
A_THING = _said(_phrases([A], "fetched"))
A_FINE_THING = _said(_described(A, nouns("household"), "neat") + _described(A, nouns("seat", plural=False), "seat"))
SERVINGS = _said(
    _described(SOME, nouns("food", "drink"), "taste")
    + _described(SOME, nouns("warm"), "warm")
    + _described(SOME, nouns("dessert"), "dessert")
)
HANDED = _phrases([THE, A, MY], "fetched")
THESE_GOODS = _described(THIS, GOODS, "colour", "novelty")
CHIC_GOODS = tuple(
    noun_phrase(A, noun, look, colour)
    for noun, look, colour in product(GOODS, adjectives("goods", "novelty"), adjectives("colour"))
    if look.before
)

AT_VENUES, TO_VENUES = (_said(_phrases([THE], "venue"), english, "à") for english in ("at", "to"))
FOR_CITIES, FROM_CITIES = _after(("for", "pour"), CITIES), _after(("from", "de"), CITIES)
IN_CITIES, OF_CITIES = _after(("in", "à"), CITIES), _after(("in", "de"), (*CITIES, ("the city", "la ville")))
LANDMARKS = _said(THE_PLACES, "after", "après") + _said(THE_PLACES, "before", "avant")
NEIGHBOURS = (
    *(
        (noun, together(relation, noun_phrase(THE, landmark).words))
        for (noun, landmark), relation in product(permutations(PLACES, 2), lexicon.RELATIONS)
    ),
    *product(AMENITIES, lexicon.SPOTS),
)
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
ROUTES = (*((step, NOTHING) for step in STEPS), *product(STEPS[:3], STEPS), *product(STEPS[3:], STEPS[:2]))
MEANS = (NOTHING, ("by bus", "en bus"), ("by train", "en train"), ("by car", "en voiture"), ("on foot", "à pied"))
OPENINGS = (NOTHING, ("excuse me,", "excusez-moi,"), ("good morning,", "bonjour,"), ("good evening,", "bonsoir,"))

ON_DAYS = (NOTHING, *((f"on {english}", french) for english, french in DAYS))
EVERY_DAY = (("every day", "tous les jours"), *((f"every {day}", f"tous les {jour}s") for day, jour in DAYS))
SINCE = (
    NOTHING,
    *_after(("since", "depuis"), (*PAST_TIMES, *DAYS)),
    *((f"for {english} days", f"depuis {french} jours") for english, french in NUMBERS),
)
SOMEWHERE, NOW = (NOTHING, *IN_CITIES), (NOTHING, ("today", "aujourd'hui"))

# --- What they do and how they are ------------------------------------------------------------------------------------

ERRANDS = _predicates(
    "find: past can, lose: past, look for: present past, take: past future", _said(_phrases([THE], "belonging"))
)
SHOPPING = _predicates(
    "buy: past future want, sell: past, look for: present", _said(_described(A, GOODS, "colour", "goods", "novelty"))
)
BARGAINS = _predicates("buy: past want, choose: past", _said(CHIC_GOODS))
TASTES = _predicates("prefer: present, choose: past", _said(_described(THE, GOODS, "colour")))
TOURS = _predicates(
    "visit: past future want, know: present, see: past",
    _said(_described(THE, (*SIGHTS, *nouns("sight", plural=True)), "sight", "novelty")),
)
ENCOUNTERS = _predicates(
    "wait for: present, know: present, understand: present, see: past, hear: past, help: past future, thank: past",
    _said(_phrases([MY, YOUR], "close")),
)
DIET = (
    *_predicates("eat: habit", _said(_phrases([lexicon.BARE], "food")), EVERY_DAY),
    *_predicates("drink: habit", _said(_phrases([lexicon.BARE], "drink")), EVERY_DAY),
)
LACKS = _predicates(
    "have: present, want: present, buy: past",
    _said(noun_phrase(lexicon.NOT_A, noun) for noun in (*nouns("fetched"), *nouns("belonging", plural=True))),
)
NEEDS = _predicates("need: present", _after(("", "besoin de"), (*A_THING, *A_FINE_THING, *_counted(AMENITIES))))
TRIPS = (
    *_predicates("go: past, go back: past", TO_VENUES, (NOTHING, *PAST_TIMES)),
    *_predicates("arrive: past, stay: past", AT_VENUES, (NOTHING, *PAST_TIMES)),
)
INTENTIONS = _predicates("go: present, go back: future must want", TO_VENUES, (NOTHING, *FUTURE_TIMES))
PLANS = _predicates("stay: future", AT_VENUES) + _predicates("go back: present", TO_VENUES)
HABITS = _predicates("work: habit", AT_VENUES, EVERY_DAY) + _predicates("go: habit", TO_VENUES, EVERY_DAY)
TRAVELS = (
    *_predicates("leave: past future", FOR_CITIES, ON_DAYS),
    *_predicates("come back: past future", FROM_CITIES, ON_DAYS),
    *_predicates("arrive: past future", IN_CITIES, ON_DAYS),
)
PUNCTUALITY = _predicates("arrive: past future, leave: past must", _clock())
DEPARTURES, ARRIVALS = _predicates("leave: habit", _clock()), _predicates("arrive: habit", _clock())
OPENING_HOURS = _predicates("open: habit, close: habit", _clock())
PRICES = _predicates("cost: habit", [together(number, ("euros", "euros")) for number in lexicon.TENS])
AGES = tuple(
    Predicate(lexicon.BE_AVOIR, Tense.PRESENT, together(number, ("years old", "ans")))
    for number in (*NUMBERS[4:], *lexicon.TENS)
)
LANGUAGES = (
    *_predicates("speak: habit", lexicon.LANGUAGES),
    *_predicates("understand: present", _after(("", "le"), lexicon.LANGUAGES)),
)
SPOTS = _predicates("be: present", lexicon.SPOTS)
JOBS = _predicates("work: habit", AT_VENUES) + _predicates("go: present", TO_VENUES)
RETURNS = _predicates("leave: past future", FOR_CITIES) + _predicates("come back: past future", FROM_CITIES)
FINDS = _predicates("buy: past, lose: past, find: past, forget: past", _said(_phrases([THE], "belonging")))
WANTS = _predicates("have: present, want: present, look for: present, buy: future", A_THING)
MYSTERIES = (
    *_predicates("look for: present, want: present, buy: future", (NOTHING,)),
    *_predicates("buy: past, choose: past, eat: past, drink: past, order: past", (NOTHING, *PAST_TIMES)),
)
MEETINGS = _usages("know: present, understand: present, wait for: present, see: past, hear: past, help: past future")
GIFTS, SERVICE = _usages("give: past future, show: past, bring: past"), _verbs("give", "bring", "show")
DEALS = _usages("buy: past, sell: past, find: past, choose: past")
PREFERENCES = _usages("prefer: present, choose: past, want: present, buy: past")
QUANTITIES = _usages("need: present, want: present, have: present, buy: past, lose: past")
LOSSES = _verbs("lose", "forget")
EVENTS = (
    *product(_usages("lose: past, forget: past, take: past"), SAY),
    *product(_usages("find: can, see: present"), DENY),
)
VERDICTS = (
    *product(_degrees(adjectives("merit"), "", "very"), SAY),
    *product(_degrees(adjectives("fault"), "too"), DENY),
)
STATES = _degrees(adjectives("state"), "", "very", "today") + _degrees(lexicon.FEELINGS, "", "very")
CONDITIONS = _degrees((*adjectives("state"), *lexicon.FEELINGS), "")
CLOSED = tuple(
    State(adjective, (f"{{}} on {english}s", f"{{}} le {french}"))
    for adjective, (english, french) in product(adjectives("venue"), DAYS)
)
WISHES = (
    *product((("I would like", "je voudrais"), ("I'd like", "je voudrais"), ("we would like", "nous voudrions")), SAY),
    *product((("can I have", "puis-je avoir"), ("can we have", "pouvons-nous avoir")), ASK),
)
WISHED = (
    *_said(_phrases([SOME], "food", "drink", "ingredient")),
    *(*SERVINGS, *A_THING, *A_FINE_THING),
    *((f"a room for {english} nights", f"une chambre pour {french} nuits") for english, french in NUMBERS),
    *(together(*tickets) for tickets in product(_counted(nouns("ticket", plural=True)), FOR_CITIES)),
)


TEMPLATES = (
    Template(sentences.say, (CAST, ERRANDS, SAY + DENY)),  # The waiter didn't find the key.
    Template(sentences.say, (CAST, SHOPPING, SAY)),  # The doctor is looking for an old umbrella.
    Template(sentences.say, (PRONOUNS, BARGAINS, SAY)),  # She bought a small black bag.
    Template(sentences.say, (CAST, TASTES, SAY)),  # They prefer the yellow dress.
    Template(sentences.say, (CAST, TOURS, SAY)),  # We are going to visit the old castle.
    Template(sentences.say, (PRONOUNS, ENCOUNTERS, SAY + DENY)),  # We aren't waiting for my parents.
    Template(sentences.say, (CAST, _meals(SOME), SAY)),  # The woman drank some milk.
    Template(sentences.say, (CAST, _meals(lexicon.NOT_ANY), DENY)),  # The tourists don't want any bread.
    Template(sentences.say, (CAST, _predicates("order: past, want: present", SERVINGS), SAY)),  # I want some hot tea.
    Template(sentences.say, (CAST, DIET, SAY)),  # He drinks coffee every day.
    Template(sentences.say, (CAST, LACKS, DENY)),  # They don't have an umbrella.
    Template(sentences.say, (CAST, NEEDS, SAY)),  # I need three blankets.
    Template(sentences.say, (EVERYBODY, TRIPS, SAY + DENY)),  # My mother went to the bank yesterday.
    Template(sentences.say, (CAST, INTENTIONS, SAY)),  # He must go back to the hotel tomorrow.
    Template(sentences.say, (CAST, HABITS, SAY)),  # You work at the museum every Monday.
    Template(sentences.say, (EVERYBODY, TRAVELS, SAY)),  # My sisters left for Geneva on Monday.
    Template(sentences.say, (CAST, PUNCTUALITY, SAY)),  # We arrived at half past eight.
    Template(sentences.say, (FAMILY, AGES, SAY)),  # My daughter is eight years old.
    Template(sentences.say, (CAST, LANGUAGES, SAY + DENY)),  # The waiter doesn't speak French.
    Template(sentences.say, (ASKED, LANGUAGES, ASK)),  # Does your wife understand Italian?
    Template(sentences.say, ((IT,), _weather(Tense.PRESENT, SOMEWHERE, NOW), tuple(Mood))),  # Is it hot in Paris?
    Template(sentences.say, ((IT,), _weather(Tense.PAST, SOMEWHERE, PAST_TIMES), tuple(Mood))),
    Template(sentences.say, ((IT,), _weather(Tense.FUTURE, SOMEWHERE, FUTURE_TIMES), tuple(Mood))),
    Template(sentences.say, (THESE_GOODS, PRICES, SAY)),  # These red shoes cost forty euros.
    Template(sentences.say, (_vehicles(FOR_CITIES), DEPARTURES, SAY)),  # The train for Lyon leaves at noon.
    Template(sentences.say, (_vehicles(FROM_CITIES), ARRIVALS, SAY)),  # The plane from Rome arrives at five o'clock.
    Template(sentences.say, (_phrases([THE], "venue"), OPENING_HOURS, SAY)),  # The bank opens at nine o'clock.
    Template(sentences.say, (_phrases([THE, MY], "belonging", "fetched"), SPOTS, tuple(Mood))),
    Template(sentences.ask, ((NOTHING, ("where", "où")), ASKED, FINDS)),
    Template(sentences.ask, ((NOTHING,), ASKED, WANTS)),  # Do you have a map?
    Template(sentences.ask, ((NOTHING, ("when", "quand"), ("why", "pourquoi")), ASKED, RETURNS)),
    Template(sentences.ask, ((("what", "que"),), ASKED, MYSTERIES)),  # What did your son eat last night?
    Template(sentences.ask_why, (ASKED, STATES)),
    Template(sentences.describe, (EVERYBODY, STATES, SAY + DENY)),
    Template(sentences.describe, (ASKED, STATES, ASK)),  # Is your son hungry?
    Template(sentences.describe, (_phrases([THE], "venue"), CLOSED, SAY + DENY)),  # The bank is closed on Sundays.
    Template(sentences.describe_thing, (THINGS, tuple(Mood))),
    Template(sentences.describe_thing, (_descriptions([MY, YOUR], "fragile", "luggage"), tuple(Mood))),
    Template(sentences.own, (EVERYBODY, LOSSES, OWNED, AT_VENUES + PAST_TIMES)),
    Template(sentences.because, (EVERYBODY, _degrees(adjectives("upset"), ""), LOSSES, OWNED)),
    Template(sentences.ache, (EVERYBODY, lexicon.ACHES, SINCE)),
    Template(sentences.if_state, (EVERYBODY, CONDITIONS, PLANS)),
    Template(sentences.if_weather, (_weather(Tense.HABIT), (NOTHING, *FUTURE_TIMES[:2]), CAST, PLANS)),
    Template(sentences.meet, (_meetings(PRONOUNS), MEETINGS, SAY + DENY)),
    Template(sentences.give, (_meetings(NOT_YOU), GIFTS, _phrases([A], "fetched", "goods"))),
    Template(sentences.serve, (SERVICE, NOT_YOU, HANDED + THESE_GOODS)),
    Template(sentences.command, (SERVICE, NOT_YOU, HANDED)),
    Template(sentences.forbid, (SERVICE, NOT_YOU, _phrases([THE, MY], "fetched"))),
    Template(sentences.missing, (_phrases([THE, MY, YOUR], "belonging"), EVERYBODY, EVENTS)),
    Template(sentences.verdict, (THESE_GOODS, VERDICTS, PRONOUNS, _usages("buy: future want, take: future"))),
    Template(sentences.compare, (_rivals("goods"), _comparisons("goods"))),
    Template(sentences.compare, (_rivals("luggage"), _comparisons("luggage"))),
    Template(sentences.compare, (_rivals("seat"), _comparisons("seat"))),
    Template(sentences.compare, (tuple(permutations(EVERYBODY[len(PRONOUNS) :], 2)), _comparisons("trait"))),
    Template(sentences.compare, (tuple(product(PRONOUNS, EVERYBODY[len(PRONOUNS) :])), _comparisons("trait"))),
    Template(sentences.superlative, (COMPARABLE, SIGHTS, OF_CITIES)),
    Template(sentences.thing_that, (_phrases([THE], "goods"), CAST, DEALS, _degrees(adjectives("goods"), "", "very"))),
    Template(sentences.person_who, (RELATIVES, JOBS)),
    Template(sentences.locate, (tuple(permutations(THE_PLACES, 2)), lexicon.RELATIONS, tuple(Mood))),
    Template(sentences.exist, (NEIGHBOURS, tuple(Mood))),
    Template(sentences.where_is, (OPENINGS, PLACES, (False, True))),
    Template(sentences.how_to_get, (OPENINGS, (ME, WE), THE_PLACES, MEANS)),
    Template(sentences.direct, (ROUTES, LANDMARKS)),
    Template(sentences.what_time, (_vehicles(FOR_CITIES), _verbs("leave"))),
    Template(sentences.what_time, (_vehicles(FROM_CITIES), _verbs("arrive"))),
    Template(sentences.what_time, (_phrases([THE], "venue"), _verbs("open", "close"))),
    Template(sentences.how_much, (_phrases([THE, THIS], "goods") + THESE_GOODS,)),
    Template(sentences.order, (WISHES, WISHED, (False, True))),
    Template(sentences.which, (nouns("goods", plural=False) + nouns("goods", plural=True), ASKED, PREFERENCES)),
    Template(sentences.which, (SIGHTS + nouns("sight", plural=True), ASKED, _usages("visit: past future want"))),
    Template(sentences.how_many, (nouns("belonging", "amenity", "goods", plural=True), ASKED, QUANTITIES)),
    Template(sentences.who, (_usages("find: past, take: past, sell: past"), _phrases([THE, MY, YOUR], "belonging"))),
)
