"""The built-in corpus: hand-written translations of every template, and what holds for all of its sentences."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections import Counter

import pytest

from nmt.errors import CorpusError
from nmt.text import phrasebook, phrasebook_sentences
from nmt.text.corpus import SentencePair
from nmt.text.phrasebook import generate, split_of
from nmt.text.phrasebook_grammar import sew
from nmt.text.phrasebook_templates import TEMPLATES

SPLITS = ("train", "dev", "test")

# Written by hand, at least one of each template.
EXPECTED = """
The waiter didn't find the key.                        | Le serveur n'a pas trouvé la clé.
I can't find the umbrella.                             | Je ne peux pas trouver le parapluie.
You are looking for the camera.                        | Vous cherchez l'appareil photo.
The doctor is looking for an old umbrella.             | Le médecin cherche un vieux parapluie.
She is going to buy some beautiful shoes.              | Elle va acheter de belles chaussures.
The woman wants to buy some red gloves.                | La femme veut acheter des gants rouges.
We bought a new camera.                                | Nous avons acheté un nouvel appareil photo.
He sold an expensive car.                              | Il a vendu une voiture chère.
She bought a small black bag.                          | Elle a acheté un petit sac noir.
They chose some old white shoes.                       | Ils ont choisi de vieilles chaussures blanches.
They prefer the yellow dress.                          | Ils préfèrent la robe jaune.
We are going to visit the old castle.                  | Nous allons visiter le vieux château.
The tourists know the old hotel.                       | Les touristes connaissent le vieil hôtel.
I saw the famous churches.                             | J'ai vu les églises célèbres.
We aren't waiting for my parents.                      | Nous n'attendons pas mes parents.
The woman drank some water.                            | La femme a bu de l'eau.
I am eating some eggs.                                 | Je mange des œufs.
The man bought some oil.                               | L'homme a acheté de l'huile.
The tourists don't want any bread.                     | Les touristes ne veulent pas de pain.
I am not drinking any beer.                            | Je ne bois pas de bière.
You didn't eat any beans.                              | Vous n'avez pas mangé de haricots.
I want some hot tea.                                   | Je veux du thé chaud.
The waiter ordered some good apples.                   | Le serveur a commandé de bonnes pommes.
He drinks coffee every day.                            | Il boit du café tous les jours.
They don't have an umbrella.                           | Ils n'ont pas de parapluie.
I don't have any suitcases.                            | Je n'ai pas de valises.
I need three blankets.                                 | J'ai besoin de trois couvertures.
The man needs an umbrella.                             | L'homme a besoin d'un parapluie.
You need eleven towels.                                | Vous avez besoin de onze serviettes.
My mother went to the bank yesterday.                  | Ma mère est allée à la banque hier.
My sisters didn't stay at the hotel last week.         | Mes sœurs ne sont pas restées à l'hôtel la semaine dernière.
He must go back to the hospital tomorrow.              | Il doit retourner à l'hôpital demain.
You are going to the airport tonight.                  | Vous allez à l'aéroport ce soir.
You work at the museum every Monday.                   | Vous travaillez au musée tous les lundis.
My sisters left for Geneva on Monday.                  | Mes sœurs sont parties pour Genève lundi.
You came back from Avignon.                            | Vous êtes revenu d'Avignon.
We arrived at half past eight.                         | Nous sommes arrivés à huit heures et demie.
The waitress must leave at a quarter to one.           | La serveuse doit partir à une heure moins le quart.
My daughter is eight years old.                        | Ma fille a huit ans.
The waiter doesn't speak Spanish.                      | Le serveur ne parle pas espagnol.
I understand Italian.                                  | Je comprends l'italien.
Does your wife understand French?                      | Est-ce que votre femme comprend le français ?
Does she speak German?                                 | Parle-t-elle allemand ?
Is it hot in Paris today?                              | Fait-il chaud à Paris aujourd'hui ?
It isn't raining in London.                            | Il ne pleut pas à Londres.
Did it snow in Lyon last night?                        | A-t-il neigé à Lyon hier soir ?
It wasn't nice in Rome yesterday.                      | Il n'a pas fait beau à Rome hier.
It is going to rain tomorrow.                          | Il va pleuvoir demain.
These red shoes cost forty euros.                      | Ces chaussures rouges coûtent quarante euros.
This new coat costs eighty euros.                      | Ce nouveau manteau coûte quatre-vingts euros.
The plane for Lyon leaves at noon.                     | L'avion pour Lyon part à midi.
The train from Avignon arrives at five o'clock.        | Le train d'Avignon arrive à cinq heures.
The bank opens at a quarter past nine.                 | La banque ouvre à neuf heures et quart.
Are my shoes under the bed?                            | Est-ce que mes chaussures sont sous le lit ?
The key is in the lobby.                               | La clé est dans le hall.
My coat isn't in the wardrobe.                         | Mon manteau n'est pas dans l'armoire.
Where did your son buy the hat?                        | Où est-ce que votre fils a acheté le chapeau ?
Where did she lose the watch?                          | Où a-t-elle perdu la montre ?
Do you have a map?                                     | Avez-vous un plan ?
Are your children looking for a towel?                 | Est-ce que vos enfants cherchent une serviette ?
When is he going to come back from Paris?              | Quand va-t-il revenir de Paris ?
Why did your parents leave for Nice?                   | Pourquoi est-ce que vos parents sont partis pour Nice ?
What did your son eat last night?                      | Qu'est-ce que votre fils a mangé hier soir ?
What are you looking for?                              | Que cherchez-vous ?
What did they order?                                   | Qu'ont-ils commandé ?
Why is your wife worried?                              | Pourquoi est-ce que votre femme est inquiète ?
My sisters aren't very happy.                          | Mes sœurs ne sont pas très heureuses.
I am very hungry.                                      | J'ai très faim.
Is your son hungry?                                    | Est-ce que votre fils a faim ?
Are you tired today?                                   | Êtes-vous fatigué aujourd'hui ?
The bank is closed on Sundays.                         | La banque est fermée le dimanche.
These shoes aren't big enough.                         | Ces chaussures ne sont pas assez grandes.
This hotel is very old.                                | Cet hôtel est très vieux.
Is the soup too salty?                                 | Est-ce que la soupe est trop salée ?
My watch is broken.                                    | Ma montre est cassée.
My sister lost her scarf at the market.                | Ma sœur a perdu son écharpe au marché.
My parents forgot their keys at the restaurant.        | Mes parents ont oublié leurs clés au restaurant.
We lost our passports this morning.                    | Nous avons perdu nos passeports ce matin.
My wife is sad because she lost her phone.             | Ma femme est triste parce qu'elle a perdu son téléphone.
My sisters are worried because they forgot their bags. | Mes sœurs sont inquiètes parce qu'elles ont oublié leurs sacs.
My daughter has had a headache since Monday.           | Ma fille a mal à la tête depuis lundi.
I have a stomach ache.                                 | J'ai mal au ventre.
The tourists have had a toothache for two days.        | Les touristes ont mal aux dents depuis deux jours.
You have an earache.                                   | Vous avez mal à l'oreille.
If my mother is tired, she is going to stay at the hotel. | Si ma mère est fatiguée, elle va rester à l'hôtel.
If they are ready, they are going back to the station. | S'ils sont prêts, ils retournent à la gare.
If it rains tomorrow, we are going to stay at the museum. | S'il pleut demain, nous allons rester au musée.
If it is cold, the man is going back to the hotel.     | S'il fait froid, l'homme retourne à l'hôtel.
They don't understand us.                              | Ils ne nous comprennent pas.
My father saw her.                                     | Mon père l'a vue.
You aren't going to help them.                         | Vous n'allez pas les aider.
I am waiting for him.                                  | Je l'attends.
My mother gave her a watch.                            | Ma mère lui a donné une montre.
They are going to give us some gloves.                 | Ils vont nous donner des gants.
Can you show me this blue dress, please?               | Pouvez-vous me montrer cette robe bleue, s'il vous plaît ?
Give me the key, please.                               | Donnez-moi la clé, s'il vous plaît.
Bring them an umbrella, please.                        | Apportez-leur un parapluie, s'il vous plaît.
Don't give him the key.                                | Ne lui donnez pas la clé.
Where is my watch? I can't find it.                    | Où est ma montre ? Je ne peux pas la trouver.
Where are your shoes? My sister took them.             | Où sont vos chaussures ? Ma sœur les a prises.
Where is the passport? I don't see it.                 | Où est le passeport ? Je ne le vois pas.
This red dress is too expensive. I don't want to buy it. | Cette robe rouge est trop chère. Je ne veux pas l'acheter.
These red gloves are beautiful. He is going to take them. | Ces gants rouges sont beaux. Il va les prendre.
The red bag is bigger than the blue bag.               | Le sac rouge est plus grand que le sac bleu.
The grey coat is less expensive than the black coat.   | Le manteau gris est moins cher que le manteau noir.
The blue suitcase isn't as heavy as the green suitcase. | La valise bleue n'est pas aussi lourde que la valise verte.
The red car is more comfortable than the white car.    | La voiture rouge est plus confortable que la voiture blanche.
My brother is taller than my sister.                   | Mon frère est plus grand que ma sœur.
She isn't as patient as the man.                       | Elle n'est pas aussi patiente que l'homme.
This is the oldest church in Paris.                    | C'est la plus vieille église de Paris.
This is the oldest hotel in Avignon.                   | C'est le plus vieil hôtel d'Avignon.
This is the most famous bridge in the city.            | C'est le pont le plus célèbre de la ville.
The watch that I bought is very old.                   | La montre que j'ai achetée est très vieille.
The shoes that the tourists found are beautiful.       | Les chaussures que les touristes ont trouvées sont belles.
The woman who works at the bank is my sister.          | La femme qui travaille à la banque est ma sœur.
The man who is going to the hospital is my father.     | L'homme qui va à l'hôpital est mon père.
The bank is next to the park.                          | La banque est à côté du parc.
The station isn't far from the airport.                | La gare n'est pas loin de l'aéroport.
Is the museum in front of the church?                  | Est-ce que le musée est devant l'église ?
Is there a bank near the hotel?                        | Y a-t-il une banque près de l'hôtel ?
There isn't a hotel opposite the park.                 | Il n'y a pas d'hôtel en face du parc.
There is an airport behind the beach.                  | Il y a un aéroport derrière la plage.
There aren't any towels in the room.                   | Il n'y a pas de serviettes dans la chambre.
Are there any glasses on the table?                    | Y a-t-il des verres sur la table ?
Excuse me, where is the nearest pharmacy?              | Excusez-moi, où est la pharmacie la plus proche ?
Good morning, where is the post office?                | Bonjour, où est le bureau de poste ?
How can I get to the station by bus?                   | Comment est-ce que je peux aller à la gare en bus ?
Good evening, how can we get to the beach on foot?     | Bonsoir, comment pouvons-nous aller à la plage à pied ?
Go straight ahead after the pool.                      | Continuez tout droit après la piscine.
Turn left after the bridge, then turn right.           | Tournez à gauche après le pont, puis tournez à droite.
Take the second street on the right before the park.   | Prenez la deuxième rue à droite avant le parc.
What time does the train for Lyon leave?               | À quelle heure part le train pour Lyon ?
What time does the plane from London arrive?           | À quelle heure arrive l'avion de Londres ?
What time does the museum close?                       | À quelle heure ferme le musée ?
How much do these shoes cost?                          | Combien coûtent ces chaussures ?
I would like some water, please.                       | Je voudrais de l'eau, s'il vous plaît.
I'd like two tickets for Geneva.                       | Je voudrais deux billets pour Genève.
Can I have some tea, please?                           | Puis-je avoir du thé, s'il vous plaît ?
We would like a room for three nights.                 | Nous voudrions une chambre pour trois nuits.
Which shoes did your wife choose?                      | Quelles chaussures est-ce que votre femme a choisies ?
Which hat do you prefer?                               | Quel chapeau préférez-vous ?
Which church are they going to visit?                  | Quelle église vont-ils visiter ?
How many towels do you need?                           | De combien de serviettes avez-vous besoin ?
How many suitcases did they lose?                      | Combien de valises ont-ils perdues ?
How many umbrellas does your son want?                 | Combien de parapluies est-ce que votre fils veut ?
Who took my umbrella?                                  | Qui a pris mon parapluie ?
"""

VOWEL = "(?!onze)[aeiouyàâéèêëîïôùûœæAEIOUYÀÉÈÊŒ]|h(?!aricot|all|uit)"
BEFORE_NOUN = "beaux|belles|grande?s|petite?s|vieux|vieilles|nouveaux|nouvelles|bons|bonnes"

# What no French sentence may hold.
FRENCH_MISTAKES = {
    "no elision": rf"\b(?<!-)(je|me|te|se|le|la|de|ne|que|ce) ({VOWEL})",
    "elision before a consonant": rf"\b([cdjlmnst]|qu)'(?!{VOWEL}|il)",
    "si il": r"\bsi ils?\b",
    "s'elle": r"\bs'elles?\b",
    "no contraction": r"(?<![\w-])(de|à) les? ",
    "contraction before a vowel": rf"\b(du|au) ({VOWEL})",
    "masculine form before a vowel": rf"\b(ce|(un|le|plus|ce) (beau|nouveau|vieux)) ({VOWEL})",
    "feminine possessive before a vowel": rf"\b(ma|ta|sa) ({VOWEL})",
    "vowel's form before a consonant": rf"\b(cet|bel|nouvel|vieil) (?!{VOWEL})",
    "des before an adjective": rf"\bdes ({BEFORE_NOUN})\b",
    "article after a negation": r"\b(n'|ne )\w+ pas (un|une|du|des|de la|de l')\b",
    "ne without pas": r"^(?!.*\bpas\b).*\b([Nn]e |n')",
    "pas without ne": r"^(?!.*\b([Nn]e |n')).*\bpas\b",
    "no euphonic t": r"[ae]-(il|elle)\b",
    "euphonic t after a consonant": r"[^aeA]-t-",
    "être without agreement": r"\b(elle|elles|ma \w+|la \w+) (est|sont) (allé|parti|arrivé|resté|retourné|revenu)s?\b",
    "plural without agreement": r"\b(ils|nous|elles|les \w+|mes \w+) (sont|sommes) \w+[éiu]e?(?= [àp])",
    "avoir with agreement": r"^(Il|Elle|Ils|Vous|Nous|L[ea] \w+) (a|ont|avez|avons) \w+(ée|ue)s?\b",
    "unsewn words": r"[/{}_]|  | [.,]|\s$|^\s",
    "curly apostrophe": "[’‘]",
    "no sentence": r"^[^A-ZÀÉÊ]|[^.?]$|[^ ]\?|[.?] [a-zà]",
}
ENGLISH_MISTAKES = {
    "a before a vowel": r"\b[Aa] [aeiou]",
    "an before a consonant": r"\b[Aa]n [^aeiou]",
    "person, singular": r"(?i)(?<!does )(?<!did )\b(he|she|it) (are|have|do|don't|want|go)\b",
    "person, plural": r"\b(they|we|you) (is|has|does|doesn't|wants|goes)\b",
    "number": r"\b(these|two) \w+ (is|isn't|costs)\b|(?<!does )this \w+ (are|aren't|cost)\b",
    "unsewn words": r"[/{}_]|  | [.,?]|\s$|^\s",
    "no sentence": r"^[^A-Z]|[^.?]$|[.?] [a-z]|\bi\b",
}


@pytest.fixture(scope="module")
def grammar() -> list[tuple[int, str, str]]:
    """Every sentence of the grammar: the number of its template, English, French."""
    return [
        (number, *template.sentence(index))
        for number, template in enumerate(TEMPLATES)
        for index in range(template.num_sentences)
    ]


def words(line: str) -> list[str]:
    return re.findall(r"\w+'?|[^\w\s]", line)


def digest(pairs: list[SentencePair]) -> str:
    return hashlib.sha256("".join(f"{source}\t{target}\n" for source, target in pairs).encode()).hexdigest()


def test_translations_written_by_hand(grammar):
    rows = [[cell.strip() for cell in line.split("|")] for line in EXPECTED.strip().splitlines()]
    templates = {source: (number, target) for number, source, target in grammar}
    assert [[source, templates.get(source, ("", "not in the grammar"))[1]] for source, _ in rows] == rows
    assert {templates[source][0] for source, _ in rows} == set(range(len(TEMPLATES)))


def test_docstrings_are_sentences(grammar):
    english = {source for _, source, _ in grammar}
    kinds = [build for name, build in inspect.getmembers(phrasebook_sentences, inspect.isfunction) if name[0] != "_"]
    examples = [build.__doc__ for build in kinds if build.__module__ == phrasebook_sentences.__name__]
    assert len(examples) > 25
    assert [example for example in examples if example not in english] == []


def test_each_english_sentence_has_one_translation(grammar):
    assert len({source for _, source, _ in grammar}) == len(grammar) > 200_000


@pytest.mark.parametrize("mistake", FRENCH_MISTAKES)
def test_no_french_sentence_has(grammar, mistake):
    pattern = re.compile(FRENCH_MISTAKES[mistake])
    assert [target for _, _, target in grammar[::5] if pattern.search(target)][:10] == []


@pytest.mark.parametrize("mistake", ENGLISH_MISTAKES)
def test_no_english_sentence_has(grammar, mistake):
    pattern = re.compile(ENGLISH_MISTAKES[mistake])
    assert [source for _, source, _ in grammar[::5] if pattern.search(source)][:10] == []


@pytest.mark.parametrize(
    "wrong",
    [
        ("no elision", "Je aime le hôtel."),
        ("no elision", "Il est près de Avignon."),
        ("elision before a consonant", "Voici l'haricot."),
        ("si il", "Il vient si il pleut."),
        ("no contraction", "Il va à le bar."),
        ("masculine form before a vowel", "Voici un beau hôtel."),
        ("feminine possessive before a vowel", "Voici ma écharpe."),
        ("article after a negation", "Il ne veut pas du pain."),
        ("ne without pas", "Il ne vient."),
        ("pas without ne", "Il vient pas."),
        ("no euphonic t", "Où va-il ?"),
        ("être without agreement", "Ma mère est allé à la gare."),
        ("plural without agreement", "Nous sommes allé à la gare."),
        ("no sentence", "Où est-il?"),
    ],
)
def test_the_patterns_find_mistakes(wrong):
    mistake, sentence = wrong
    sentence = sentence if mistake == "no sentence" else sentence[0].lower() + sentence[1:]
    assert re.search(FRENCH_MISTAKES[mistake], sentence)


def test_lengths_and_vocabulary():
    train, dev = generate("train", 18_000), generate("dev", 1_000)
    lengths = [len(pair.source.split()) for pair in train + dev]
    assert min(lengths) >= 3
    assert max(lengths) <= 15
    for side, most in ((0, 550), (1, 750)):
        vocabulary = Counter(word for pair in train for word in words(pair[side]))
        held_out = [word for pair in dev for word in words(pair[side])]
        assert len(vocabulary) < most
        assert sum(vocabulary[word] < 5 for word in held_out) < 0.005 * len(held_out)


def test_deterministic():
    first = generate("train", 1_000)
    assert digest(first) == "fe95f86874516a4d286fb177aaadd21f97f0a655446b4d8861be29292c20599e"
    assert first == generate("train", 1_000)
    assert digest(generate("test", 1_000, seed=7)) == "7f68648c3d615afb8ca016ee5643df642d5c082363df6a573fcef3b17a22831f"


@pytest.mark.parametrize("split", SPLITS)
def test_a_shorter_corpus_begins_a_longer_one(split):
    assert generate(split, 200)[:100] == generate(split, 100)
    assert generate(split, 0) == []


def test_the_seed_chooses_the_sentences():
    assert not set(generate("train", 100, seed=1)) >= set(generate("train", 100, seed=2))


def test_pairs_are_distinct_and_splits_share_no_sentence():
    corpora = {split: [*generate(split, 1_000, seed=1), *generate(split, 1_000, seed=2)] for split in SPLITS}
    for split, pairs in corpora.items():
        assert {split_of(pair) for pair in pairs} == {split}
        assert len(set(pairs[:1_000])) == 1_000
        assert all(isinstance(pair, SentencePair) for pair in pairs)
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        for side in (0, 1):
            assert {pair[side] for pair in corpora[one]}.isdisjoint(pair[side] for pair in corpora[other])


def test_splits_are_large_enough(grammar):
    sizes = Counter(split_of(SentencePair(source, target)) for _, source, target in grammar)
    assert sizes["train"] >= 100_000
    assert min(sizes["dev"], sizes["test"]) >= 10_000


def test_french_alone_decides_the_split():
    contracted, full = SentencePair("I'd like some tea.", "Je voudrais du thé."), "I would like some tea."
    assert split_of(contracted) == split_of(SentencePair(full, contracted.target))


def test_every_sentence_comes_once_until_the_grammar_is_exhausted(monkeypatch):
    small = [template for template in TEMPLATES if template.num_sentences < 500]
    monkeypatch.setattr(phrasebook, "TEMPLATES", small)
    whole = [SentencePair(*template.sentence(index)) for template in small for index in range(template.num_sentences)]
    for split in SPLITS:
        expected = [pair for pair in whole if split_of(pair) == split]
        assert sorted(generate(split, len(expected), seed=3)) == sorted(expected)
        with pytest.raises(
            CorpusError, match=f"`{split}` has {len(expected):,} pairs.*num_pairs={len(expected) + 1:,}"
        ):
            generate(split, len(expected) + 1)


def test_unknown_split_and_negative_number():
    with pytest.raises(CorpusError, match=r"Did you mean `test`\? Received: split='tset'"):
        generate("tset", 1)  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match=r">= 0\. Received: num_pairs=-1"):
        generate("dev", -1)


@pytest.mark.parametrize(
    ("raw", "sewn"),
    [
        ("je ai le appareil", "J'ai l'appareil"),
        ("il ne y a pas de œufs", "Il n'y a pas d'œufs"),
        ("parce que il va à les halls de le hôpital", "Parce qu'il va aux halls de l'hôpital"),
        ("est-ce que elle a ce/cet hôtel et ce/cet hall", "Est-ce qu'elle a cet hôtel et ce hall"),
        ("si il dort, si elle dort, si ils dorment", "S'il dort, si elle dort, s'ils dorment"),
        ("puis-je avoir le haricot de le jardin ?", "Puis-je avoir le haricot du jardin ?"),
        ("ma/mon écharpe et ma/mon nouvelle écharpe", "Mon écharpe et ma nouvelle écharpe"),
        ("à le bout de les rues. à onze heures", "Au bout des rues. À onze heures"),
        ("que avez-vous et que est-ce que il a de Avignon", "Qu'avez-vous et qu'est-ce qu'il a d'Avignon"),
    ],
)
def test_sewing(raw, sewn):
    assert sew(("", raw)) == ("", sewn)
