"""The grammar of the built-in phrasebook: noun phrases, clauses and sentences, in English and French at once.

Each function returns both languages, so that a sentence and its translation grow in step. The English decides the
French: "you" is the polite "vous" to one man; "I", "we" and a "they" without antecedent agree as masculine; a question
inverts a pronoun ("va-t-elle ... ?") and takes "est-ce que" with a noun or "je". This module knows how words agree and
knows no template: those are in `nmt.text.phrasebook_templates`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from nmt.text.phrasebook_lexicon import (
    HER,
    HIS,
    IL,
    ILS,
    JE,
    MY,
    NOUS,
    OUR,
    SOME,
    THEIR,
    VERBS,
    VOUS,
    YOUR,
    A,
    Adjective,
    Determiner,
    Gender,
    Noun,
    Pair,
    Verb,
)

NOTHING: Pair = ("", "")


@dataclass(frozen=True)
class Phrase:
    """A noun phrase or pronoun, with all that a verb, adjective or participle agrees with."""

    english: str
    french: str
    gender: Gender
    plural: bool
    person: int
    is_pronoun: bool = False

    @property
    def words(self) -> Pair:
        """Both languages, without what they agree with."""
        return self.english, self.french


def _pronoun(english: str, french: str, person: int, gender: Gender = "m") -> Phrase:
    return Phrase(english, french, gender, person in (NOUS, ILS), person, is_pronoun=True)


ME, YOU, WE = _pronoun("I", "je", JE), _pronoun("you", "vous", VOUS), _pronoun("we", "nous", NOUS)
HE, SHE, IT = _pronoun("he", "il", IL), _pronoun("she", "elle", IL, "f"), _pronoun("it", "il", IL)
THEY, THEY_FEMININE = _pronoun("they", "ils", ILS), _pronoun("they", "elles", ILS, "f")
PRONOUNS = (ME, YOU, HE, SHE, WE, THEY)

# As an object: English, direct French, indirect French.
_OBJECTS = {
    ME: ("me", "me", "me"),
    YOU: ("you", "vous", "vous"),
    HE: ("him", "le", "lui"),
    SHE: ("her", "la", "lui"),
    WE: ("us", "nous", "nous"),
    THEY: ("them", "les", "leur"),
}


class Tense(Enum):
    """The tense of a clause. French says the last four with another verb before the infinitive."""

    PRESENT = "is buying"
    HABIT = "buys"
    PAST = "bought"
    FUTURE = "is going to buy"
    CAN = "can buy"
    MUST = "must buy"
    WANT = "wants to buy"


_SEMI_AUXILIARIES = {
    Tense.FUTURE: VERBS["go"],
    Tense.CAN: VERBS["can"],
    Tense.MUST: VERBS["must"],
    Tense.WANT: VERBS["want"],
}
_NEGATIONS = {"am": "am not", "can": "can't", "must": "mustn't"}


def noun_phrase(determiner: Determiner, noun: Noun, *adjectives: Adjective) -> Phrase:
    """Returns a noun with its determiner and its adjectives, each on its own side of the French noun."""
    english, french = determiner.translations(noun)
    before = [adjective.beside(noun.gender, noun.plural) for adjective in adjectives if adjective.before]
    after = [adjective.beside(noun.gender, noun.plural) for adjective in adjectives if not adjective.before]
    if before and noun.plural and determiner in (A, SOME):
        french = "de"  # "de belles chaussures", but "des chaussures rouges"
    return Phrase(
        _join(english, *(adjective.english for adjective in adjectives), noun.english),
        _join(french, *before, noun.french, *after),
        noun.gender,
        noun.plural,
        ILS if noun.plural else IL,
    )


def subject_pronoun(phrase: Phrase) -> Phrase:
    """Returns the pronoun that takes up a person: "she" for "my sister", "we" for "we"."""
    if phrase.is_pronoun:
        return phrase
    if phrase.plural:
        return THEY if phrase.gender == "m" else THEY_FEMININE
    return HE if phrase.gender == "m" else SHE


def direct_object(phrase: Phrase) -> Pair:
    """Returns the object pronoun of a personal pronoun ("him", "le"), or the one that takes up a thing ("it", "la")."""
    if phrase.is_pronoun:
        return _OBJECTS[phrase][:2]
    return ("them", "les") if phrase.plural else ("it", "la" if phrase.gender == "f" else "le")


def indirect_object(pronoun: Phrase) -> Pair:
    """Returns the pronoun of the person to whom something is given: ("them", "leur")."""
    english, _, french = _OBJECTS[pronoun]
    return english, french


def possessive(owner: Phrase) -> Determiner:
    """Returns the possessive of a person: "their" for "my parents"."""
    if owner.person == IL:
        return HER if owner.gender == "f" else HIS
    return {JE: MY, NOUS: OUR, VOUS: YOUR, ILS: THEIR}[owner.person]


def clause(
    subject: Phrase,
    verb: Verb,
    tense: Tense,
    rest: Pair = NOTHING,
    *,
    negative: bool = False,
    question: Pair | None = None,
    clitic: str = "",
    antecedent: Phrase | None = None,
) -> Pair:
    """Returns a clause without capital and full stop.

    Args:
        subject: Who does it.
        verb: What is done.
        tense: When, or with which modal.
        rest: What follows the verb: objects, places, times.
        negative: With "not" and "ne ... pas". Not for questions.
        question: Question words before the clause, `NOTHING` for a yes-or-no question, None for a statement.
        clitic: French object pronoun; its English is part of `rest`.
        antecedent: What a French past participle with "avoir" agrees with: a direct object before the verb.

    >>> clause(SHE, VERBS["sell"], Tense.PAST, ("it", ""), negative=True, clitic="la", antecedent=SHE)
    ("she didn't sell it", 'elle ne la a pas vendue')
    >>> clause(HE, VERBS["go"], Tense.PRESENT, question=("where", "où"))
    ('where is he going', 'où va-t-il')
    """
    english = _english_clause(subject, verb, tense, negative=negative, question=question)
    french = _french_clause(
        subject, verb, tense, negative=negative, question=question, clitic=clitic, antecedent=antecedent
    )
    return _join(english, rest[0]), _join(french, rest[1])


def _english_clause(subject: Phrase, verb: Verb, tense: Tense, *, negative: bool, question: Pair | None) -> str:
    auxiliary, main, affirmative = _english_verb(subject, verb, tense)
    if question is not None:
        return _join(question[0], auxiliary, subject.english, main)
    if negative:
        return _join(subject.english, _NEGATIONS.get(auxiliary, f"{auxiliary}n't"), main)
    return _join(subject.english, affirmative)


def _english_verb(subject: Phrase, verb: Verb, tense: Tense) -> tuple[str, str, str]:
    """Returns the auxiliary, the rest of the verb, and what an affirmative statement says: does, know, knows."""
    be = "am" if subject.person == JE else "is" if subject.person == IL else "are"
    do, simple = ("does", verb.third) if subject.person == IL else ("do", verb.base)
    if tense is Tense.PRESENT and verb.ing != "-":
        return be, verb.ing, _join(be, verb.ing)
    if tense in (Tense.PRESENT, Tense.HABIT):
        return do, verb.base, simple
    if tense is Tense.PAST:
        return ("was", "", "was") if verb.base == "be" else ("did", verb.base, verb.past)
    if tense is Tense.FUTURE:
        return be, f"going to {verb.base}", f"{be} going to {verb.base}"
    if tense is Tense.WANT:
        return do, f"want to {verb.base}", f"{'wants' if do == 'does' else 'want'} to {verb.base}"
    modal = _SEMI_AUXILIARIES[tense].base
    return modal, verb.base, f"{modal} {verb.base}"


def _french_clause(
    subject: Phrase,
    verb: Verb,
    tense: Tense,
    *,
    negative: bool,
    question: Pair | None,
    clitic: str,
    antecedent: Phrase | None,
) -> str:
    """Builds subject + ne + clitic + finite verb + pas + participle or infinitive, in the order a question asks for."""
    finite, tail = _french_verb(subject, verb, tense, antecedent)
    if tense in _SEMI_AUXILIARIES:
        tail = _join(clitic, tail)
        clitic = ""
    if negative:
        return _join(subject.french, "ne", clitic, finite, "pas", tail)
    if question is None:
        return _join(subject.french, clitic, finite, tail)
    if subject.is_pronoun and subject.person != JE:
        link = "-t-" if subject.person == IL and finite[-1] in "ae" else "-"
        return _join(question[1], clitic, f"{finite}{link}{subject.french}", tail)
    return _join(question[1], "est-ce que", subject.french, clitic, finite, tail)


def _french_verb(subject: Phrase, verb: Verb, tense: Tense, antecedent: Phrase | None) -> Pair:
    """Returns the finite verb and what follows it: ("suis", "allée"), ("peut", "aller")."""
    if tense in _SEMI_AUXILIARIES:
        return _SEMI_AUXILIARIES[tense].present[subject.person], verb.infinitive
    if tense is not Tense.PAST:
        return verb.present[subject.person], ""
    agreed = subject if verb.with_etre else antecedent
    participle = verb.agreeing_participle(agreed.gender, agreed.plural) if agreed else verb.participle
    return VERBS["be" if verb.with_etre else "have"].present[subject.person], participle


def _join(*words: str) -> str:
    return " ".join(word for word in words if word)


def together(*pairs: Pair) -> Pair:
    """Returns the pairs one after the other, in both languages.

    >>> together(("in Paris", "à Paris"), NOTHING, ("today", "aujourd'hui"))
    ('in Paris today', "à Paris aujourd'hui")
    """
    return _join(*(english for english, _ in pairs)), _join(*(french for _, french in pairs))


# The next word begins with a vowel or a mute h. The h of "haricot", "hall" and "huit" is aspirated.
_VOWEL = r"(?=(?!haricot|hall|huit|onze)[aeiouhàâéèêîôûœAE]|y )"
_BEFORE_VOWEL = re.compile(rf"\w+/(\w+) {_VOWEL}")
_OTHERWISE = re.compile(r"(\w+)/\w+")
_ELISION = re.compile(rf"(?<![\w'-])(?:(j|m|l|d|n|qu|c)e {_VOWEL}|(l)a {_VOWEL}|(s)i (?=ils?\b))")
_CONTRACTION = re.compile(r"(?<![\w-])(?:de|à) les? ")
_CONTRACTED = {"de le ": "du ", "de les ": "des ", "à le ": "au ", "à les ": "aux "}
_AN = re.compile(r"\ba (?=[aeiou])")
_START = re.compile(r"(?:^|[.?] )\w")


def sew(pair: Pair) -> Pair:
    """Makes words into sentences: a vowel's form of "a/an" and "ce/cet", elision, contraction, capitals.

    "de" and "à" contract with "le" and "les" alone as articles, so no template puts them before an object pronoun.

    >>> sew(("is it a old hotel?", "est-ce un vieux/vieil hôtel ? je ne ai pas vu le jardin de le hôtel."))
    ('Is it an old hotel?', "Est-ce un vieil hôtel ? Je n'ai pas vu le jardin de l'hôtel.")
    """
    english, french = pair
    english = _AN.sub("an ", english)
    if "/" in french:
        french = _OTHERWISE.sub(r"\1", _BEFORE_VOWEL.sub(r"\1 ", french))
    french = _ELISION.sub(lambda match: f"{match[match.lastindex or 0]}'", french)
    french = _CONTRACTION.sub(lambda match: _CONTRACTED[match[0]], french)
    return _START.sub(lambda match: match[0].upper(), english), _START.sub(lambda match: match[0].upper(), french)
