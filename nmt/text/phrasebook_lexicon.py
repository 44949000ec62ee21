"""The words of the built-in phrasebook: nouns, adjectives, verbs, determiners and fixed expressions, as written tables.

Every form is written out, so that a mistake is seen where it stands; a slash in a French form parts the form before a
consonant from the one before a vowel (`beau/bel`, `ce/cet`, `ma/mon`). This module knows words and their agreement. It
knows nothing of sentences: those are in `nmt.text.phrasebook_sentences`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Gender = Literal["m", "f"]
Pair = tuple[str, str]  # (English, French)

# Rows of the conjugation tables. "You" is always the polite "vous"; there is no "tu".
JE, IL, NOUS, VOUS, ILS = range(5)


@dataclass(frozen=True)
class Noun:
    """A noun in one number."""

    english: str
    french: str
    gender: Gender
    plural: bool
    cited: bool  # the number it is named by: the singular, or the plural of what has no singular ("glasses")
    tags: frozenset[str]


@dataclass(frozen=True)
class Adjective:
    """An adjective with its four French forms and its place beside the noun."""

    english: str
    comparative: str
    forms: tuple[str, ...]  # masculine, feminine, masculine plural, feminine plural
    before: bool
    tags: frozenset[str]

    @property
    def superlative(self) -> str:
        """The English superlative: "most expensive" of "more expensive", "oldest" of "older"."""
        return self.comparative.replace("more ", "most ") if " " in self.comparative else self.comparative[:-1] + "st"

    def beside(self, gender: Gender, plural: bool) -> str:
        """Returns the French form that stands beside a noun; it may have a slash."""
        return self.forms[2 * plural + (gender == "f")]

    def alone(self, gender: Gender, plural: bool) -> str:
        """Returns the French form after "être"."""
        return self.beside(gender, plural).partition("/")[0]


@dataclass(frozen=True)
class Verb:
    """A verb: the English forms, the French present tense and the French past participle."""

    base: str
    third: str
    past: str
    ing: str  # "-" where English has no progressive form: "I know", never "I am knowing"
    infinitive: str
    present: tuple[str, ...]  # by JE, IL, NOUS, VOUS, ILS
    participle: str
    with_etre: bool

    def agreeing_participle(self, gender: Gender, plural: bool) -> str:
        """Returns the French past participle with its ending: perdu, perdue, perdus, perdues."""
        word = self.participle + ("e" if gender == "f" else "")
        return word + "s" if plural and not word.endswith("s") else word


@dataclass(frozen=True)
class Determiner:
    """An article, possessive or demonstrative."""

    english: str
    english_plural: str
    masculine: str
    feminine: str
    plural: str

    def translations(self, noun: Noun) -> Pair:
        """Returns the English and the French form before the noun."""
        if noun.plural:
            return self.english_plural, self.plural
        return self.english, self.feminine if noun.gender == "f" else self.masculine


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


def _read_pairs(text: str) -> tuple[Pair, ...]:
    sides = [pair.split(" = ") for pair in " ".join(text.split()).split(", ")]
    return tuple((english, french) for english, french in sides)


def _read_nouns(table: str) -> tuple[Noun, ...]:
    nouns = []
    for english, french, gender, tags in _rows(table):
        side: Gender = "f" if gender == "f" else "m"
        cited = True
        for english_form, french_form, plural in zip(english.split("/"), french.split("/"), (False, True), strict=True):
            if english_form != "-":
                nouns.append(Noun(english_form, french_form, side, plural, cited, frozenset(tags.split())))
                cited = False
    return tuple(nouns)


def _read_adjectives(table: str) -> tuple[Adjective, ...]:
    return tuple(
        Adjective(english, comparative, tuple(forms.split()), place == "before", frozenset(tags.split()))
        for english, comparative, forms, place, tags in _rows(table)
    )


def _read_verbs(table: str) -> dict[str, Verb]:
    verbs = {}
    for english, infinitive, participle, present in _rows(table):
        base, third, past, ing = (form.strip() for form in english.split(","))
        forms = tuple(present.split())
        if present == "-er":
            forms = tuple(infinitive.removesuffix("er") + ending for ending in ("e", "e", "ons", "ez", "ent"))
        with_etre = participle.startswith("+")
        verbs[base] = Verb(base, third, past, ing, infinitive, forms, participle.removeprefix("+"), with_etre)
    return verbs


# English singular/plural | French singular/plural | gender | tags. A dash: the number is not used.
NOUNS = _read_nouns("""
key/keys             | clé/clés                         | f | belonging amenity fetched
ticket/tickets       | billet/billets                   | m | belonging fetched ticket
passport/passports   | passeport/passeports             | m | belonging
phone/phones         | téléphone/téléphones             | m | belonging fragile
wallet/wallets       | portefeuille/portefeuilles       | m | belonging goods
camera/cameras       | appareil photo/appareils photo   | m | belonging goods fragile
umbrella/umbrellas   | parapluie/parapluies             | m | belonging goods fragile fetched
watch/watches        | montre/montres                   | f | belonging goods fragile
suitcase/suitcases   | valise/valises                   | f | belonging goods luggage fetched
bag/bags             | sac/sacs                         | m | belonging goods luggage
book/books           | livre/livres                     | m | belonging luggage
hat/hats             | chapeau/chapeaux                 | m | belonging goods
coat/coats           | manteau/manteaux                 | m | belonging goods fetched
scarf/scarves        | écharpe/écharpes                 | f | belonging goods
shirt/shirts         | chemise/chemises                 | f | goods
dress/dresses        | robe/robes                       | f | goods
-/shoes              | -/chaussures                     | f | belonging goods seat
-/gloves             | -/gants                          | m | belonging goods
bicycle/bicycles     | vélo/vélos                       | m | goods
car/cars             | voiture/voitures                 | f | goods seat
map/maps             | plan/plans                       | m | fetched
newspaper/newspapers | journal/journaux                 | m | fetched
towel/towels         | serviette/serviettes             | f | amenity household fetched
blanket/blankets     | couverture/couvertures           | f | amenity household fetched
pillow/pillows       | oreiller/oreillers               | m | amenity household fetched
plate/plates         | assiette/assiettes               | f | amenity household fragile fetched
glass/glasses        | verre/verres                     | m | amenity household fragile fetched
bed/beds             | lit/lits                         | m | household seat
room/rooms           | chambre/chambres                 | f | household seat
chair/chairs         | chaise/chaises                   | f | amenity household seat fragile
train/-              | train/-                          | m | vehicle
bus/-                | bus/-                            | m | vehicle
plane/-              | avion/-                          | m | vehicle
boat/-               | bateau/-                         | m | vehicle
hotel/hotels         | hôtel/hôtels                     | m | place venue sight
station/-            | gare/-                           | f | place venue
restaurant/restaurants | restaurant/restaurants         | m | place venue sight
bank/-               | banque/-                         | f | place venue
museum/museums       | musée/musées                     | m | place venue sight
market/markets       | marché/marchés                   | m | place venue sight
pharmacy/-           | pharmacie/-                      | f | place venue
hospital/-           | hôpital/-                        | m | place venue
airport/-            | aéroport/-                       | m | place venue
library/-            | bibliothèque/-                   | f | place venue sight
theatre/theatres     | théâtre/théâtres                 | m | place venue sight
pool/-               | piscine/-                        | f | place venue sight
post office/-        | bureau de poste/-                | m | place venue
bakery/-             | boulangerie/-                    | f | place venue
church/churches      | église/églises                   | f | place sight
castle/castles       | château/châteaux                 | m | place sight
bridge/bridges       | pont/ponts                       | m | place sight
park/parks           | parc/parcs                       | m | place sight
square/squares       | place/places                     | f | place sight
beach/beaches        | plage/plages                     | f | place sight
bread/-              | pain/-                           | m | food dish
cheese/-             | fromage/-                        | m | food dish
meat/-               | viande/-                         | f | food dish warm
fish/-               | poisson/-                        | m | food dish warm
soup/-               | soupe/-                          | f | food dish warm
salad/-              | salade/-                         | f | food dish
rice/-               | riz/-                            | m | food dish warm
ice cream/-          | glace/-                          | f | food dessert
oil/-                | huile/-                          | f | ingredient
butter/-             | beurre/-                         | m | ingredient
salt/-               | sel/-                            | m | ingredient
sugar/-              | sucre/-                          | m | ingredient
-/eggs               | -/œufs                           | m | food dish
-/beans              | -/haricots                       | m | food dish
-/apples             | -/pommes                         | f | food dessert
-/oranges            | -/oranges                        | f | food dessert
water/-              | eau/-                            | f | drink warm
coffee/-             | café/-                           | m | drink warm dessert
tea/-                | thé/-                            | m | drink warm dessert
milk/-               | lait/-                           | m | drink warm
wine/-               | vin/-                            | m | drink
beer/-               | bière/-                          | f | drink
brother/-            | frère/-                          | m | family
sister/-             | sœur/-                           | f | family
-/sisters            | -/sœurs                          | f | family close
father/-             | père/-                           | m | family
mother/-             | mère/-                           | f | family
husband/-            | mari/-                           | m | family close
wife/-               | femme/-                          | f | family close
son/-                | fils/-                           | m | family close
daughter/-           | fille/-                          | f | family close
-/children           | -/enfants                        | m | family close
-/parents            | -/parents                        | m | family close
man/-                | homme/-                          | m | stranger passer-by
woman/-              | femme/-                          | f | stranger passer-by
waiter/-             | serveur/-                        | m | stranger
waitress/-           | serveuse/-                       | f | stranger
doctor/-             | médecin/-                        | m | stranger
-/tourists           | -/touristes                      | m | stranger
""")

# English | comparative | French m, f, m plural, f plural | beside the noun | what it can be said of
ADJECTIVES = _read_adjectives("""
red         | -                | rouge rouge rouges rouges                   | after  | colour
blue        | -                | bleu bleue bleus bleues                     | after  | colour
green       | -                | vert verte verts vertes                     | after  | colour
white       | -                | blanc blanche blancs blanches               | after  | colour
black       | -                | noir noire noirs noires                     | after  | colour
grey        | -                | gris grise gris grises                      | after  | colour
yellow      | -                | jaune jaune jaunes jaunes                   | after  | colour
big         | bigger           | grand grande grands grandes                 | before | goods sight fault
small       | smaller          | petit petite petits petites                 | before | goods sight fault
new         | -                | nouveau/nouvel nouvelle nouveaux nouvelles  | before | novelty
old         | older            | vieux/vieil vieille vieux vieilles          | before | goods sight trait fault
beautiful   | more beautiful   | beau/bel belle beaux belles                 | before | goods sight merit
expensive   | more expensive   | cher chère chers chères                     | after  | goods fault
famous      | more famous      | célèbre célèbre célèbres célèbres           | after  | sight
modern      | more modern      | moderne moderne modernes modernes           | after  | sight
quiet       | quieter          | calme calme calmes calmes                   | after  | sight
heavy       | heavier          | lourd lourde lourds lourdes                 | after  | luggage
comfortable | more comfortable | confortable confortable confortables confortables | after | seat
clean       | cleaner          | propre propre propres propres               | after  | household neat
dirty       | dirtier          | sale sale sales sales                       | after  | household
broken      | -                | cassé cassée cassés cassées                 | after  | fragile absolute
open        | -                | ouvert ouverte ouverts ouvertes             | after  | venue absolute
closed      | -                | fermé fermée fermés fermées                 | after  | venue absolute
hot         | -                | chaud chaude chauds chaudes                 | after  | warm
cold        | -                | froid froide froids froides                 | after  | warm
good        | -                | bon bonne bons bonnes                       | before | food drink taste
salty       | -                | salé salée salés salées                     | after  | dish
sweet       | -                | sucré sucrée sucrés sucrées                 | after  | dessert
tired       | -                | fatigué fatiguée fatigués fatiguées         | after  | state
happy       | happier          | heureux heureuse heureux heureuses          | after  | state trait
sad         | sadder           | triste triste tristes tristes               | after  | state upset
sick        | -                | malade malade malades malades               | after  | state
ready       | -                | prêt prête prêts prêtes                     | after  | state absolute
busy        | busier           | occupé occupée occupés occupées             | after  | state
worried     | -                | inquiet inquiète inquiets inquiètes         | after  | state upset
tall        | taller           | grand grande grands grandes                 | before | trait
young       | younger          | jeune jeune jeunes jeunes                   | before | trait
nice        | nicer            | gentil gentille gentils gentilles           | before | trait
patient     | more patient     | patient patiente patients patientes         | after  | trait
""")

# English base, third, past, -ing | infinitive | past participle | je, il, nous, vous, ils
# "+": the passé composé takes "être"; "-er": the regular present tense
VERBS = _read_verbs("""
look for, looks for, looked for, looking for | chercher   | cherché   | -er
wait for, waits for, waited for, waiting for | attendre   | attendu   | attends attend attendons attendez attendent
find, finds, found, finding            | trouver    | trouvé    | -er
lose, loses, lost, losing              | perdre     | perdu     | perds perd perdons perdez perdent
forget, forgets, forgot, forgetting    | oublier    | oublié    | -er
buy, buys, bought, buying              | acheter    | acheté    | achète achète achetons achetez achètent
sell, sells, sold, selling             | vendre     | vendu     | vends vend vendons vendez vendent
choose, chooses, chose, choosing       | choisir    | choisi    | choisis choisit choisissons choisissez choisissent
bring, brings, brought, bringing       | apporter   | apporté   | -er
take, takes, took, taking              | prendre    | pris      | prends prend prenons prenez prennent
give, gives, gave, giving              | donner     | donné     | -er
show, shows, showed, showing           | montrer    | montré    | -er
visit, visits, visited, visiting       | visiter    | visité    | -er
see, sees, saw, -                      | voir       | vu        | vois voit voyons voyez voient
know, knows, knew, -                   | connaître  | connu     | connais connaît connaissons connaissez connaissent
understand, understands, understood, - | comprendre | compris   | comprends comprend comprenons comprenez comprennent
hear, hears, heard, -                  | entendre   | entendu   | entends entend entendons entendez entendent
help, helps, helped, helping           | aider      | aidé      | -er
thank, thanks, thanked, thanking       | remercier  | remercié  | -er
want, wants, wanted, -                 | vouloir    | voulu     | veux veut voulons voulez veulent
prefer, prefers, preferred, -          | préférer   | préféré   | préfère préfère préférons préférez préfèrent
have, has, had, -                      | avoir      | eu        | ai a avons avez ont
need, needs, needed, -                 | avoir      | eu        | ai a avons avez ont
make, makes, made, making              | faire      | fait      | fais fait faisons faites font
speak, speaks, spoke, -                | parler     | parlé     | -er
eat, eats, ate, eating                 | manger     | mangé     | mange mange mangeons mangez mangent
drink, drinks, drank, drinking         | boire      | bu        | bois boit buvons buvez boivent
order, orders, ordered, ordering       | commander  | commandé  | -er
work, works, worked, working           | travailler | travaillé | -er
go, goes, went, going                  | aller      | +allé     | vais va allons allez vont
get, gets, got, getting                | aller      | +allé     | vais va allons allez vont
go back, goes back, went back, going back | retourner  | +retourné | -er
arrive, arrives, arrived, arriving     | arriver    | +arrivé   | -er
stay, stays, stayed, staying           | rester     | +resté    | -er
leave, leaves, left, leaving           | partir     | +parti    | pars part partons partez partent
come back, comes back, came back, coming back | revenir    | +revenu   | reviens revient revenons revenez reviennent
cost, costs, cost, -                   | coûter     | coûté     | -er
open, opens, opened, opening           | ouvrir     | ouvert    | ouvre ouvre ouvrons ouvrez ouvrent
close, closes, closed, closing         | fermer     | fermé     | -er
rain, rains, rained, raining           | pleuvoir   | plu       | pleut pleut pleut pleut pleuvent
snow, snows, snowed, snowing           | neiger     | neigé     | neige neige neigeons neigez neigent
can, can, could, -                     | pouvoir    | pu        | peux peut pouvons pouvez peuvent
must, must, must, -                    | devoir     | dû        | dois doit devons devez doivent
be, is, was,                          | être       | été       | suis est sommes êtes sont
""")


def _said_with(french: Verb) -> Verb:
    """Returns the English "be" where French says it with another verb: "I am hungry", "j'ai faim"."""
    return replace(VERBS["be"], infinitive=french.infinitive, present=french.present, participle=french.participle)


BE_AVOIR = _said_with(VERBS["have"])
BE_FAIRE = _said_with(VERBS["make"])

THE = Determiner("the", "the", "le", "la", "les")
A = Determiner("a", "some", "un", "une", "des")
NOT_A = Determiner("a", "any", "de", "de", "de")  # after "ne ... pas"
SOME = Determiner("some", "some", "de le", "de la", "des")
BARE = Determiner("", "", "de le", "de la", "des")
NOT_ANY = Determiner("any", "any", "de", "de", "de")
THIS = Determiner("this", "these", "ce/cet", "cette", "ces")
MY = Determiner("my", "my", "mon", "ma/mon", "mes")
YOUR = Determiner("your", "your", "votre", "votre", "vos")
HIS = Determiner("his", "his", "son", "sa/son", "ses")
HER = Determiner("her", "her", "son", "sa/son", "ses")
OUR = Determiner("our", "our", "notre", "notre", "nos")
THEIR = Determiner("their", "their", "leur", "leur", "leurs")

CITIES = _read_pairs("""
    Paris = Paris, Lyon = Lyon, Avignon = Avignon, Nice = Nice, London = Londres, Brussels = Bruxelles,
    Geneva = Genève, Rome = Rome
""")
DAYS = _read_pairs("""
    Monday = lundi, Tuesday = mardi, Wednesday = mercredi, Thursday = jeudi, Friday = vendredi, Saturday = samedi,
    Sunday = dimanche
""")
NUMBERS = _read_pairs("""
    two = deux, three = trois, four = quatre, five = cinq, six = six, seven = sept, eight = huit, nine = neuf,
    ten = dix, eleven = onze
""")
TENS = _read_pairs("""
    twelve = douze, fifteen = quinze, twenty = vingt, thirty = trente, forty = quarante, fifty = cinquante,
    sixty = soixante, eighty = quatre-vingts
""")
LANGUAGES = _read_pairs("""
    French = français, English = anglais, Spanish = espagnol, Italian = italien, German = allemand
""")
ACHES = _read_pairs("""
    a headache = mal à la tête, a stomach ache = mal à le ventre, a toothache = mal à les dents,
    a sore throat = mal à la gorge, a backache = mal à le dos, an earache = mal à la oreille
""")
WEATHER = _read_pairs("hot = chaud, cold = froid, nice = beau")
FEELINGS = _read_pairs("hungry = faim, thirsty = soif, hot = chaud, cold = froid, sleepy = sommeil, afraid = peur")
PAST_TIMES = _read_pairs("""
    yesterday = hier, this morning = ce matin, last night = hier soir, last week = la semaine dernière
""")
FUTURE_TIMES = _read_pairs("""
    tomorrow = demain, tonight = ce soir, next week = la semaine prochaine, tomorrow morning = demain matin
""")
SPOTS = _read_pairs("""
    in the room = dans la chambre, on the table = sur la table, under the bed = sous le lit,
    in the wardrobe = dans la armoire, on the chair = sur la chaise, in the car = dans la voiture,
    behind the door = derrière la porte, in the lobby = dans le hall
""")
RELATIONS = _read_pairs("""
    next to = à côté de, opposite = en face de, near = près de, far from = loin de, behind = derrière,
    in front of = devant
""")


def nouns(*tags: str, plural: bool | None = None) -> tuple[Noun, ...]:
    """Returns the nouns with any of the tags.

    Args:
        *tags: Tags of `NOUNS`, such as `"place"`.
        plural: The number to return; by default the one that the noun is named by.
    """
    tagged = (noun for noun in NOUNS if noun.tags.intersection(tags))
    return tuple(noun for noun in tagged if (noun.cited if plural is None else noun.plural == plural))


def adjectives(*tags: str) -> tuple[Adjective, ...]:
    """Returns the adjectives with any of the tags."""
    return tuple(adjective for adjective in ADJECTIVES if adjective.tags.intersection(tags))
