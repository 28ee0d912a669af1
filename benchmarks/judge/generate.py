"""Labelled pairs of prompts made from our own families of questions, by several hundred kinds of change.

A pair comes with its kind, so that kinds can be held out whole. Everything is drawn from one seeded generator: the same seed
gives the same pairs. `harmless` and `harmful` also change prompts of other sets, which is how training reaches their words
without copying their text.
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

__all__ = ["Made", "changed", "generate"]

FAMILIES = Path(__file__).parent / "families.txt"

SLOTS = {
    name: values.split(", ")
    for name, values in {
        "item": "standing desk, blender, winter jacket, road bike, coffee machine, pair of headphones, dining table, tent, backpack, "
        "vacuum cleaner, microwave, baby stroller, office chair, mattress, bookshelf, toaster, lawn mower, washing machine, "
        "hair dryer, electric kettle, projector, sleeping bag, rice cooker, guitar stand, floor lamp, wall clock, rain coat, ironing board",
        "app": "Dropbox, Instagram, Spotify, Zoom, Netflix, Slack, WhatsApp, Gmail, Trello, Notion, Photoshop, Evernote, Signal, "
        "Firefox, Excel, Duolingo, TikTok, Reddit, Steam, Uber, Airbnb, Teams, Outlook, OneDrive, Todoist, Figma, Canva, Strava",
        "lang": "Python, Java, JavaScript, Ruby, Go, Rust, C++, C#, PHP, Swift, Kotlin, Perl, Scala, R, Haskell, Lua, TypeScript, Julia, bash, SQL",
        "country": "France, Germany, Japan, Brazil, Canada, Kenya, Norway, Peru, Vietnam, Egypt, Poland, Chile, Iceland, Portugal, "
        "Morocco, Nepal, Finland, Cuba, Ghana, Thailand, Mongolia, Bolivia, Jordan, Latvia, Malta, Oman, Laos, Uganda",
        "city": "Berlin, Madrid, Chicago, Toronto, Osaka, Lima, Oslo, Prague, Vienna, Cairo, Denver, Seattle, Porto, Krakow, Lyon, "
        "Naples, Hamburg, Boston, Geneva, Tallinn, Bogota, Hanoi, Glasgow, Antwerp, Split, Bergen",
        "person": "Marie Curie, Abraham Lincoln, Freddie Mercury, Isaac Newton, Frida Kahlo, Ada Lovelace, Nikola Tesla, Leo Tolstoy, "
        "Amelia Earhart, Johann Bach, Nelson Mandela, Jane Austen, Alan Turing, Bruce Lee, Rosa Parks, Charles Darwin, Agatha Christie, "
        "Tom Hanks, Serena Williams, Roger Federer, Lionel Messi, Meryl Streep, Stephen King, Bob Dylan",
        "thing": "photosynthesis, gravity, inflation, magnetism, osmosis, plate tectonics, evolution, entropy, fermentation, radioactivity, "
        "natural selection, electrolysis, refraction, combustion, mitosis, recursion, encryption, machine learning, blockchain, quantum "
        "entanglement, climate change, the greenhouse effect, soil erosion, resonance, superconductivity, compound interest, game theory, "
        "the water cycle, friction, nuclear fusion, nuclear fission, diffusion, corrosion",
        "illness": "the flu, measles, asthma, diabetes, malaria, pneumonia, chickenpox, anemia, bronchitis, eczema, gout, hepatitis, "
        "migraine, tonsillitis, food poisoning, a stomach ulcer, arthritis, sinusitis, Lyme disease, tetanus, high blood pressure, low blood pressure, scurvy, shingles",
        "food": "quinoa, salmon, lentils, asparagus, tofu, brown rice, sweet potatoes, mushrooms, chickpeas, zucchini, cauliflower, shrimp, "
        "kale, peanut butter, oatmeal, cottage cheese, couscous, pumpkin, beetroot, eggplant, blueberries, almonds, walnuts, avocado, mango, celery, leeks, radishes",
        "animals": "elephants, hamsters, penguins, octopuses, giraffes, hedgehogs, kangaroos, otters, flamingos, crocodiles, bats, koalas, "
        "tigers, squirrels, swans, camels, beavers, dolphins, owls, ferrets, zebras, wolves, tortoises, parrots, llamas, moose, badgers",
        "skill": "chess, pottery, juggling, swimming, photography, the violin, calligraphy, rock climbing, baking, origami, skiing, yoga, "
        "public speaking, archery, knitting, fencing, surfing, drawing, poker, sailing, gardening, card tricks, speed reading, horse riding",
        "job": "nurse, pilot, data scientist, electrician, plumber, architect, pharmacist, welder, librarian, paramedic, web designer, "
        "translator, veterinarian, chef, firefighter, surveyor, optician, tax advisor, journalist, midwife, carpenter, product manager",
        "asset": "bitcoin, gold, government bonds, silver, index funds, ethereum, farmland, tech shares, oil futures, art, vintage cars, "
        "wine, real estate, corporate bonds, platinum, startup shares",
        "topic": "the ocean, autumn, friendship, robots, free public transport, the moon, online voting, coffee, school uniforms, trains, "
        "nuclear power, homework, the desert, four-day weeks, cats, jealousy, rain, space travel, zoos, old age, football, bridges, fast food, loneliness",
        "device": "laptop, phone, tablet, smart TV, e-reader, game console, smartwatch, desktop PC, camera, router, printer",
    }.items()
}
SLOTS["city2"] = SLOTS["city"]

FIRST = "Anna Ben Clara David Elena Felix Grace Henry Ivy Jack Kate Liam Maria Noah Olga Paul Rosa Simon Tara Victor".split()
LAST = "Archer Baker Cole Dalton Ellis Frost Grant Hayes Irwin Jarvis Keller Lang Mercer Nolan Osborne Pratt Quinn Reyes Stone".split()
MEN = "Ben David Felix Henry Jack Liam Noah Paul Simon Victor".split()
WOMEN = "Anna Clara Elena Grace Ivy Kate Maria Olga Rosa Tara".split()


@dataclass(frozen=True, slots=True)
class Made:
    """A made pair; `label` 1 where one answer serves both; `group` holds whatever must stay on one side of a split."""

    a: str
    b: str
    label: int
    kind: str
    group: str


def generate(seed: int = 0, size: int = 20_000) -> list[Made]:
    """About `size` pairs, half of them from families and the rest from relations and single changes."""
    dice = random.Random(seed)
    made = [*_families(dice, size // 2), *_relations(dice, size // 4)]
    texts = [text for pair in made[: size // 2 : 3] for text in (pair.a,)]
    made += changed(texts, dice, size // 4, "own")
    dice.shuffle(made)
    return made


def changed(texts: list[str], dice: random.Random, size: int, source: str) -> list[Made]:
    """`size` pairs of a text and the text after one to three harmless changes, or after a harmful one."""
    made: list[Made] = []
    while len(made) < size:
        text = dice.choice(texts)
        harmful = dice.random() < 0.5
        if harmful:
            name, change = dice.choice(HARMFUL)
            other = change(text, dice)
            if other is None or other == text:
                continue
            left = text
            if dice.random() < 0.3:
                left = _soften(text, dice)
            made.append(Made(*_shuffled(dice, left, other), 0, f"{source}/{name}", text))
        else:
            name, change = dice.choice(HARMLESS)
            other = change(text, dice)
            if other is None or other == text:
                continue
            if dice.random() < 0.4:
                other = _soften(other, dice)
            made.append(Made(*_shuffled(dice, text, other), 1, f"{source}/{name}", text))
    return made


def _shuffled(dice: random.Random, a: str, b: str) -> tuple[str, str]:
    return (a, b) if dice.random() < 0.5 else (b, a)


def _soften(text: str, dice: random.Random) -> str:
    _, change = dice.choice(HARMLESS)
    return change(text, dice) or text


# --- families


def _read_families() -> dict[str, dict[str, list[str]]]:
    domains: dict[str, dict[str, list[str]]] = {}
    domain = ""
    for line in FAMILIES.read_text().splitlines():
        if line.startswith("## "):
            domain = line[3:].strip()
            domains[domain] = {}
        elif ":" in line and not line.startswith("#"):
            name, _, wordings = line.partition(": ")
            domains[domain][name] = [wording.strip() for wording in wordings.split("|")]
    return domains


def _families(dice: random.Random, size: int) -> Iterator[Made]:
    domains = _read_families()
    names = [(domain, family) for domain, families in domains.items() for family in families]
    for _ in range(size):
        domain, family = dice.choice(names)
        wordings = domains[domain][family]
        slots = sorted({slot for wording in wordings for slot in re.findall(r"{(\w+)}", wording)})
        values = _fill(slots, dice)
        first, second = dice.sample(wordings, 2)
        turn = dice.random()
        group = f"{domain}/{family}"
        if turn < 0.45:
            a, b = first.format(**values), second.format(**values)
            if dice.random() < 0.3:
                b = _soften(b, dice)
            yield Made(*_shuffled(dice, a, b), 1, f"family/{domain}", group)
        elif turn < 0.7 and slots:
            others = _fill(slots, dice, unlike=values)
            if len(slots) == 2 and dice.random() < 0.5:
                others = dict(zip(slots, reversed([values[s] for s in slots]), strict=True))
            b = (first if dice.random() < 0.7 else second).format(**others)
            yield Made(*_shuffled(dice, first.format(**values), b), 0, f"slot/{domain}", group)
        else:
            sibling = dice.choice([f for f in domains[domain] if f != family])
            b = dice.choice(domains[domain][sibling]).format(**{**_fill(["city", "city2"], dice), **values})
            yield Made(*_shuffled(dice, first.format(**values), b), 0, f"sibling/{domain}", group)


def _fill(slots: list[str], dice: random.Random, unlike: dict[str, str] | None = None) -> dict[str, str]:
    while True:
        values = {slot: dice.choice(SLOTS[slot]) for slot in slots}
        distinct = len(set(values.values())) == len(values)
        if distinct and not (unlike and any(values[s] == unlike[s] for s in slots)):
            return values


# --- relations: who does what to whom, which way, when, how many

_VERBS = """love loves loved|hire hires hired|call calls called|follow follows followed|defeat defeats defeated|blame blames blamed
admire admires admired|chase chases chased|ignore ignores ignored|invite invites invited|teach teaches taught|sue sues sued
trust trusts trusted|betray betrays betrayed|visit visits visited|push pushes pushed|owe owes owed|photograph photographs photographed
warn warns warned|replace replaces replaced|outrank outranks outranked|support supports supported|rescue rescues rescued|see sees seen
beat beats beaten|forgive forgives forgiven|choose chooses chosen|bite bites bitten|drive drives driven|pay pays paid"""
VERBS = [tuple(part.split()) for line in _VERBS.splitlines() for part in line.split("|")]
GRADES = "taller/shorter older/younger faster/slower heavier/lighter richer/poorer smarter/dumber louder/quieter stronger/weaker cheaper/dearer".split()
ACTS = "jog drink coffee|take a nap|send emails|eat spicy food|mow the lawn|do laundry|call a customer|play drums|water the plants|go swimming".split(
    "|"
)
TRAITS = "rude/polite lazy/hardworking honest/dishonest generous/stingy patient/impatient brave/cowardly tidy/messy careful/careless calm/nervous friendly/unfriendly visible/invisible optimistic/pessimistic humble/arrogant".split()
NOUNS = "pilot nurse baker coach senator tenant driver student landlord singer dentist manager sailor tourist widow juror".split()
QUALITIES = [
    "Swedish",
    "left-handed",
    "vegan",
    "famous",
    "retired",
    "divorced",
    "allergic to nuts",
    "bilingual",
    "a lawyer",
    "a spy",
]
THINGS = [
    "the castle",
    "the river",
    "a hammer",
    "the red car",
    "the old oak",
    "a laptop",
    "the tower",
    "a violin",
    "the bakery",
    "a raft",
]
MODIFIERS = "really actually currently indeed truly literally simply just".split()


def _relations(dice: random.Random, size: int) -> Iterator[Made]:
    for _ in range(size):
        yield dice.choice(RELATIONS)(dice)


def _two(dice: random.Random) -> tuple[str, str]:
    x, y = dice.sample(FIRST, 2)
    return x, y


def _passive(dice: random.Random) -> Made:
    x, y = _two(dice)
    base, _, past = dice.choice(VERBS)
    active, turned = dice.choice(
        [
            (f"Does {x} {base} {y}?", "Is {o} {p} by {s}?"),
            (f"Did {x} {base} {y}?", "Was {o} {p} by {s}?"),
            (f"Why did {x} {base} {y}?", "Why was {o} {p} by {s}?"),
            (f"When will {x} {base} {y}?", "When will {o} be {p} by {s}?"),
        ]
    )
    right = dice.random() < 0.5
    subject, object_ = (x, y) if right else (y, x)
    return Made(
        active,
        turned.format(o=object_, s=subject, p=past),
        int(right),
        "relation/passive" + ("" if right else " wrong"),
        f"passive {base}",
    )


def _swap(dice: random.Random) -> Made:
    x, y = _two(dice)
    base, third, _ = dice.choice(VERBS)
    frame = dice.choice(
        [
            "Does {x} {b} {y}?",
            "Did {x} {b} {y} last year?",
            "Why would {x} {b} {y}?",
            "What happens if {x} {t} {y}?",
            "Tell me why {x} {t} {y}",
            "Is it true that {x} {t} {y}?",
        ]
    )
    a = frame.format(x=x, y=y, b=base, t=third)
    b = frame.format(x=y, y=x, b=base, t=third)
    return Made(a, b, 0, "relation/swap", f"swap {base}")


def _graded(dice: random.Random) -> Made:
    x, y = _two(dice)
    more, less = dice.choice(GRADES).split("/")
    a = f"Is {x} {more} than {y}?"
    turn = dice.randrange(4)
    if turn == 0:
        return Made(a, f"Is {y} {less} than {x}?", 1, "relation/grade inverse", f"grade {more}")
    if turn == 1:
        return Made(a, f"Is {y} {more} than {x}?", 0, "relation/grade swap", f"grade {more}")
    if turn == 2:
        return Made(
            f"Who is {more}, {x} or {y}?", f"Who is {more}, {y} or {x}?", 1, "relation/grade choice", f"grade {more}"
        )
    return Made(a, f"Is {x} {less} than {y}?", 0, "relation/grade opposite", f"grade {more}")


def _direction(dice: random.Random) -> Made:
    frame, pool = dice.choice(
        [
            (
                "How do I convert {x} to {y}?",
                "miles kilometers pounds ounces celsius fahrenheit inches liters gallons meters".split(),
            ),
            ("Convert {x} into {y}", "euros dollars yen pesos rubles francs".split()),
            ("flights from {x} to {y}", SLOTS["city"]),
            ("What is the cheapest way to get from {x} to {y}?", SLOTS["city"]),
            ("Translate this from {x} to {y}", "English French German Czech Hindi Korean".split()),
            ("How do I switch from {x} to {y}?", SLOTS["app"]),
            ("How can I move my files from {x} to {y}?", SLOTS["app"]),
            ("Can I replace {x} with {y}?", SLOTS["food"]),
            ("How do I call {x} from {y}?", SLOTS["lang"]),
            ("What are the reasons to leave {x} for {y}?", SLOTS["country"]),
            ("Subtract {x} from {y}", "the rent|the tax|the deposit|the discount|the fee".split("|")),
            ("How many {x} are in {y}?", "cups pints teaspoons tablespoons quarts".split()),
        ]
    )
    x, y = dice.sample(pool, 2)
    a, b = frame.format(x=x, y=y), frame.format(x=y, y=x)
    if dice.random() < 0.3:
        return Made(a, _soften(a, dice), 1, "relation/direction same", frame)
    return Made(a, b, 0, "relation/direction", frame)


def _symmetric(dice: random.Random) -> Made:
    frame, pool = dice.choice(
        [
            ("What is the difference between {x} and {y}?", SLOTS["thing"]),
            ("Compare {x} and {y}", SLOTS["lang"]),
            ("Which is better, {x} or {y}?", SLOTS["app"]),
            ("Should I visit {x} or {y}?", SLOTS["country"]),
            ("Is it better to eat {x} or {y}?", SLOTS["food"]),
            ("How far apart are {x} and {y}?", SLOTS["city"]),
            ("Did {x} and {y} ever meet?", SLOTS["person"]),
            ("Can I mix {x} and {y}?", SLOTS["food"]),
            ("{x} vs {y}", SLOTS["device"]),
            ("Do {x} and {y} get along?", SLOTS["animals"]),
        ]
    )
    x, y, z = dice.sample(pool, 3)
    a = frame.format(x=x, y=y)
    if dice.random() < 0.6:
        return Made(a, frame.format(x=y, y=x), 1, "relation/symmetric", frame)
    return Made(a, frame.format(x=dice.choice((x, y)), y=z), 0, "relation/symmetric other", frame)


def _between(dice: random.Random) -> Made:
    act = dice.choice(ACTS)
    hour, half = dice.randint(1, 11), dice.choice(("am", "pm"))
    adjective = dice.choice("ok safe rude legal smart healthy allowed common".split())
    x, y = dice.sample("before after around until".split(), 2)
    frame = dice.choice(["Is it {j} to {a} {w} {h}{p}?", "Should I {a} {w} {h} {p}?", "Can my kids {a} {w} {h}{p}?"])
    a = frame.format(j=adjective, a=act, w=x, h=hour, p=half)
    turn = dice.randrange(4)
    if turn == 0:
        return Made(a, frame.format(j=adjective, a=act, w=y, h=hour, p=half), 0, "time/preposition", act)
    if turn == 1:
        return Made(a, frame.format(j=adjective, a=act, w=x, h=hour % 11 + 1, p=half), 0, "time/hour", act)
    if turn == 2:
        return Made(
            a, frame.format(j=adjective, a=act, w=x, h=hour, p="pm" if half == "am" else "am"), 0, "time/half", act
        )
    return Made(a, _soften(a, dice), 1, "time/same", act)


def _event(dice: random.Random) -> Made:
    x, y = dice.sample(
        [
            "the wedding",
            "surgery",
            "the exam",
            "a workout",
            "breakfast",
            "the election",
            "launch",
            "a flight",
            "the first trimester",
            "moving house",
        ],
        2,
    )
    frame = dice.choice(
        [
            "What should I eat {w} {x}?",
            "How do I relax {w} {x}?",
            "What happens {w} {x}?",
            "What do people do {w} {x}?",
            "Who should I call {w} {x}?",
        ]
    )
    v, w = dice.sample("before after during".split(), 2)
    a = frame.format(w=v, x=x)
    if dice.random() < 0.3:
        return Made(a, frame.format(w=v, x=y), 0, "time/other event", frame)
    return Made(a, frame.format(w=w, x=x), 0, "time/event", frame)


def _state(dice: random.Random) -> Made:
    name = f"{dice.choice(FIRST)} {dice.choice(LAST)}"
    noun = dice.choice(NOUNS)
    a = f"Is {name} a {noun}?"
    other, kind, label = dice.choice(
        [
            (f"Is {name} becoming a {noun}?", "becoming", 0),
            (f"Was {name} a {noun}?", "past", 0),
            (f"Will {name} be a {noun}?", "future", 0),
            (f"Is {name} no longer a {noun}?", "no longer", 0),
            (f"Did {name} stop being a {noun}?", "stopped", 0),
            (f"Is {name} the best {noun}?", "best", 0),
            (f"Is {name} married to a {noun}?", "married", 0),
            (f"Is {name} really a {noun}?", "really", 1),
            (f"Is {name} currently a {noun}?", "currently", 1),
            (f"Tell me if {name} is a {noun}", "tell me", 1),
            (f"Is it true that {name} is a {noun}?", "true", 1),
            (f"Is {name} a {dice.choice([n for n in NOUNS if n != noun])}?", "other noun", 0),
        ]
    )
    return Made(a, other, label, f"state/{kind}", f"state {noun}")


def _who(dice: random.Random) -> Made:
    first, last, other = dice.choice(FIRST), dice.choice(LAST), dice.choice(LAST)
    quality = dice.choice(QUALITIES)
    if first and dice.random() < 0.25:
        return Made(
            f"Is {first} {last} {quality}?",
            f"Do you know whether {first} {last} is {quality}?",
            1,
            "name/same",
            quality,
        )
    b = f"{first} {other}" if dice.random() < 0.5 else f"{dice.choice(FIRST)} {last}"
    if b == f"{first} {last}":
        b = f"{first} {last}son"
    a, b = f"Is {first} {last} {quality}?", f"Is {b} {quality}?"
    if dice.random() < 0.4:
        a, b = a.lower(), b.lower()
    return Made(a, b, 0, "name/other", quality)


def _coref(dice: random.Random) -> Made:
    man, woman = dice.choice(MEN), dice.choice(WOMEN)
    frame = dice.choice(
        [
            "If {m} and {w} met, would {x} {v} {y}?",
            "When {w} and {m} argue, does {x} {v} {y}?",
            "{m} and {w} work together. Could {x} {v} {y}?",
        ]
    )
    verb = dice.choice(VERBS)[0]
    a = frame.format(m=man, w=woman, x="he", y="her", v=verb)
    b = frame.format(m=man, w=woman, x="she", y="him", v=verb)
    if dice.random() < 0.2:
        return (
            Made(a, a.replace(" would", ", tell me, would").replace("Could", "Do you think"), 1, "coref/same", verb)
            if "would" in a
            else Made(a, _soften(a, dice), 1, "coref/same", verb)
        )
    return Made(a, b, 0, "coref/swap", verb)


def _trait(dice: random.Random) -> Made:
    good, bad = dice.choice(TRAITS).split("/")
    if dice.random() < 0.5:
        good, bad = bad, good
    frames = [
        ("How can I become a {x} person?", "How can I become a person who is not {x}?"),
        ("Why is my boss so {x}?", "Why is my boss not {x}?"),
        ("How do I deal with {x} people?", "How do I deal with people who are not {x}?"),
        ("Is it good to be {x}?", "Is it good not to be {x}?"),
    ]
    plain, negated = dice.choice(frames)
    turn = dice.randrange(5)
    a = plain.format(x=good)
    if turn == 0:
        return Made(a, negated.format(x=bad), 1, "polarity/double", good)
    if turn == 1:
        return Made(a, negated.format(x=good), 0, "polarity/negated", good)
    if turn == 2:
        return Made(a, plain.format(x=bad), 0, "polarity/opposite", good)
    if turn == 3:
        other = dice.choice(TRAITS).split("/")[0]
        return Made(a, negated.format(x=other), 0 if other != bad else 1, "polarity/other", good)
    return Made(f"How can I become more {good}?", f"How can I become less {bad}?", 1, "polarity/more less", good)


def _logic(dice: random.Random) -> Made:
    name = f"{dice.choice(FIRST)} {dice.choice(LAST)}"
    x, y, z, w = dice.sample(NOUNS, 4)
    return dice.choice(
        [
            Made(f"Is {name} a {x} or a {y}?", f"Is {name} a {y} or a {x}?", 1, "logic/or", x),
            Made(f"Is {name} a {x} and a {y}?", f"Is {name} a {y} and a {x}?", 1, "logic/and", x),
            Made(f"Is {name} a {x} or a {y}?", f"Is {name} both a {z} and a {w}?", 0, "logic/other", x),
            Made(f"Is {name} a {x} or a {y}?", f"Is {name} a {x} and a {y}?", 0, "logic/and or", x),
            Made(f"Is {name} a {x} and a {y}?", f"Is {name} a {x} and a {z}?", 0, "logic/one other", x),
            Made(f"Is {name} a {x}?", f"Is {name} a {x} or a {y}?", 0, "logic/one more", x),
        ]
    )


def _opinion(dice: random.Random) -> Made:
    group, other = dice.sample(
        "students doctors farmers critics voters parents gamers nurses Germans teenagers".split(), 2
    )
    grade = dice.choice("best worst funniest richest coolest smartest bravest oldest".split())
    noun = dice.choice("actor singer club phone city teacher car brand writer team".split())
    a = f"Who do {group} think is the {grade} {noun} in the country?"
    return dice.choice(
        [
            Made(a, f"Who is the {grade} {noun} in the country according to {group}?", 1, "opinion/according", noun),
            Made(a, f"According to {group}, who is the {grade} {noun} in the country?", 1, "opinion/fronted", noun),
            Made(a, f"Who is the {grade} {noun} in the country according to {other}?", 0, "opinion/other group", noun),
            Made(a, f"Who do {other} think is the {grade} {noun} in the country?", 0, "opinion/other group same", noun),
        ]
    )


def _filler(dice: random.Random) -> Made:
    thing = dice.choice(THINGS)
    place = dice.choice(["on the hill", "in the garden", "under the bridge", "near the station", "behind the school"])
    a = f"Is {thing} {place}?"
    word = dice.choice(MODIFIERS)
    where = dice.choice([f"Is {thing} {word} {place}?", f"{word.capitalize()}, is {thing} {place}?"])
    if dice.random() < 0.5:
        return Made(a, where, 1, "filler/adverb", word)
    other = dice.choice([t for t in THINGS if t != thing])
    return Made(a, f"Is {other} {place}?", 0, "filler/other thing", word)


def _story(dice: random.Random) -> Made:
    name = dice.choice(FIRST)
    boy = name in MEN
    n, m, k = dice.sample(range(2, 60), 3)
    goods = dice.choice("marbles stickers apples coins postcards candles beads cookies tickets pencils".split())
    place = dice.choice("market fair shop school library garage".split())
    he, his = ("he", "his") if boy else ("she", "her")
    wordings = [
        f"{name} has {n} {goods}. At the {place} {he} buys {m} more and gives {k} to a friend. How many {goods} does {name} have now?",
        f"At first {name} owns {n} {goods}. {he.capitalize()} then buys {m} more at the {place} and gives a friend {k} of them. How many {goods} are left for {name}?",
        f"How many {goods} does {name} have if {he} starts with {n}, buys {m} at the {place} and gives away {k} to {his} friend?",
    ]
    a, b = dice.sample(wordings, 2)
    turn = dice.randrange(5)
    if turn < 2:
        return Made(a, b, 1, "story/reworded", goods)
    if turn == 2:
        return Made(a, a.replace(str(m), str(m + dice.randint(1, 9))), 0, "story/number", goods)
    if turn == 3:
        return Made(
            a, a.replace(str(n), "\0").replace(str(m), str(n)).replace("\0", str(m)), 0, "story/numbers swapped", goods
        )
    return Made(
        a,
        b.replace(f"How many {goods}", f"How many friends and {goods}").replace("buys", "sells"),
        0,
        "story/verb",
        goods,
    )


def _stock(dice: random.Random) -> Made:
    firm = dice.choice(["Tesla", "Nestle", "Boeing", "Zara", "Ferrari", "Lego", "Shell", "Pfizer"])
    act, other = dice.sample("buy|sell|hold|short|avoid".split("|"), 2)
    frame = dice.choice(
        [
            "Should I {v} {f} shares now?",
            "Is it smart to {v} {f} stock this year?",
            "Why would anyone {v} {f} shares?",
            "When is the right time to {v} {f}?",
            "I want to {v} {f} shares, is that wise?",
        ]
    )
    a = frame.format(v=act, f=firm)
    if dice.random() < 0.7:
        return Made(a, frame.format(v=other, f=firm), 0, "stock/polarity", frame)
    return Made(a, _soften(a, dice), 1, "stock/same", frame)


def _command(dice: random.Random) -> Made:
    orders = dice.sample(
        [
            "Translate",
            "Summarize",
            "Proofread",
            "Rewrite",
            "Shorten",
            "Classify",
            "Explain",
            "Expand",
            "Simplify",
            "Review",
        ],
        2,
    )
    text = dice.choice(
        [
            "the following email",
            "this paragraph",
            "the text below",
            "this contract clause",
            "my cover letter",
            "this function",
        ]
    )
    tongue, tongue2 = dice.sample("French German Polish Korean Turkish Dutch".split(), 2)
    return dice.choice(
        [
            Made(f"{orders[0]} {text}", f"{orders[1]} {text}", 0, "command/verb", text),
            Made(f"Translate {text} into {tongue}", f"Translate {text} into {tongue2}", 0, "command/language", text),
            Made(f"{orders[0]} {text}", f"Please {orders[0].lower()} {text}.", 1, "command/please", text),
            Made(f"{orders[0]} {text}", f"Can you {orders[0].lower()} {text} for me?", 1, "command/can you", text),
            Made(f"{orders[0]} {text}", f"{orders[0]} {text} in one sentence", 0, "command/length", text),
            Made(f"{orders[0]} {text}", f"{orders[0]} {text} and answer as JSON", 0, "command/format", text),
        ]
    )


def _switch(dice: random.Random) -> Made:
    what = dice.choice(
        [
            "dark mode",
            "the microphone",
            "cookies",
            "autosave",
            "the firewall",
            "location sharing",
            "the heating",
            "subtitles",
            "spell check",
            "notifications",
        ]
    )
    on = dice.choice(["turn on {x}", "enable {x}", "switch {x} on", "activate {x}", "turn {x} on"])
    off = dice.choice(["turn off {x}", "disable {x}", "switch {x} off", "deactivate {x}", "turn {x} off"])
    also = dice.choice(["turn on {x}", "enable {x}", "switch {x} on", "activate {x}", "switch on {x}"])
    frame = dice.choice(["How do I {v}?", "Please {v}", "How can I {v} on my phone?", "What is the way to {v}?"])
    if dice.random() < 0.5:
        return Made(frame.format(v=on.format(x=what)), frame.format(v=off.format(x=what)), 0, "switch/off", what)
    return Made(frame.format(v=on.format(x=what)), frame.format(v=also.format(x=what)), 1, "switch/same", what)


def _negated(dice: random.Random) -> Made:
    noun, job = dice.choice(NOUNS), dice.choice(SLOTS["job"])
    food = dice.choice(SLOTS["food"])
    a, b = dice.choice(
        [
            (f"What should a {noun} worry about?", f"What should a {noun} not worry about?"),
            (f"Which foods may a {noun} eat?", f"Which foods may a {noun} never eat?"),
            (f"Why do people like {food}?", f"Why don't people like {food}?"),
            (f"What can a {job} do without a licence?", f"What can a {job} do with a licence?"),
            (f"Is it possible to live on {food}?", f"Is it impossible to live on {food}?"),
            (f"What happens if I eat {food}?", f"What happens if I don't eat {food}?"),
            (f"Who is allowed to hire a {job}?", f"Who isn't allowed to hire a {job}?"),
            (f"Recipes with {food}", f"Recipes without {food}"),
            (f"How do I make a {noun} happy?", f"How do I make a {noun} unhappy?"),
            (f"Is it legal to be a {noun} at 16?", f"Is it illegal to be a {noun} at 16?"),
        ]
    )
    return Made(a, b, 0, "negation", a[:14])


def _preamble(dice: random.Random) -> Made:
    part, part2 = dice.sample("knee elbow shin wrist thumb ankle shoulder hip chin heel forearm collarbone".split(), 2)
    sport = dice.choice("rugby tennis hockey judo rowing cricket squash handball".split())
    end = dice.choice(
        [
            "Will this keep me out for long?",
            "Is that a typical injury?",
            "What should I do now?",
            "Do I need an operation?",
        ]
    )
    a = f"I hurt my {part} playing {sport}. {end}"
    if dice.random() < 0.75:
        return Made(a, f"I hurt my {part2} playing {sport}. {end}", 0, "preamble/part", end)
    return Made(a, f"I injured my {part} while I was playing {sport}. {end}", 1, "preamble/same", end)


RELATIONS: list[Callable[[random.Random], Made]] = [
    _passive,
    _swap,
    _graded,
    _direction,
    _symmetric,
    _between,
    _event,
    _state,
    _who,
    _coref,
    _trait,
    _logic,
    _opinion,
    _filler,
    _story,
    _stock,
    _command,
    _switch,
    _negated,
    _preamble,
]


# --- single changes to any text

Change = Callable[[str, random.Random], str | None]


def _prefix(*starts: str) -> Change:
    def change(text: str, dice: random.Random) -> str | None:
        start = dice.choice(starts)
        return start + (text if text[:2].isupper() or text.startswith("I ") else text[0].lower() + text[1:])

    return change


def _suffix(*ends: str) -> Change:
    def change(text: str, dice: random.Random) -> str | None:
        end = dice.choice(ends)
        body, mark = (text[:-1], text[-1]) if text[-1:] in "?.!" else (text, "")
        return f"{body} {end}{mark}" if not end.endswith((".", "?", "!")) else f"{text} {end}"

    return change


def _swap_words(*pairs: str, both: bool = True) -> Change:
    table: list[tuple[str, str]] = []
    for pair in pairs:
        words = pair.split("/")
        for x, y in combinations(words, 2):
            table += [(x, y), (y, x)] if both else [(x, y)]

    def change(text: str, dice: random.Random) -> str | None:
        fitting = [(x, y) for x, y in table if re.search(rf"\b{re.escape(x)}\b", text, re.IGNORECASE)]
        if not fitting:
            return None
        x, y = dice.choice(fitting)

        def same_case(found: re.Match[str]) -> str:
            return y[0].upper() + y[1:] if found.group()[0].isupper() else y

        return re.sub(rf"\b{re.escape(x)}\b", same_case, text, count=1, flags=re.IGNORECASE)

    return change


def _typo(text: str, dice: random.Random) -> str | None:
    words = list(re.finditer(r"\b[a-z]{6,}\b", text))
    if not words:
        return None
    found = dice.choice(words)
    word, at = found.group(), dice.randrange(1, len(found.group()) - 2)
    turn = dice.randrange(3)
    bad = (
        word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        if turn == 0
        else word[:at] + word[at + 1 :]
        if turn == 1
        else word[:at] + word[at] + word[at:]
    )
    return text[: found.start()] + bad + text[found.end() :]


def _plain(text: str, dice: random.Random) -> str | None:
    return text.lower().rstrip("?.! ")


def _spaced(text: str, dice: random.Random) -> str | None:
    return dice.choice(
        [text + " ", text.rstrip("?") + " ?", text.replace(" ", "  ", 1), text.rstrip("?.") + "??", text.rstrip("?")]
    )


def _digits(text: str, dice: random.Random) -> str | None:
    words = "zero one two three four five six seven eight nine ten eleven twelve".split()
    found = [
        m
        for m in re.finditer(r"(?<![\d.,/-])\d{1,2}(?![\d.,:/%-]|st|nd|rd|th|[a-z])", text)
        if 1 < int(m.group()) <= 12
    ]
    if not found:
        return None
    m = dice.choice(found)
    return text[: m.start()] + words[int(m.group())] + text[m.end() :]


def _fronted(text: str, dice: random.Random) -> str | None:
    m = re.fullmatch(r"(How|What|Where|Which|When)\b(.*?) (in|for|with|on) ([A-Z][\w#+]*|my \w+)\?", text)
    return f"{m.group(3).capitalize()} {m.group(4)}, {m.group(1).lower()}{m.group(2)}?" if m else None


def _number_other(text: str, dice: random.Random) -> str | None:
    found = list(re.finditer(r"\d+", text))
    if not found:
        return None
    m = dice.choice(found)
    new = str(int(m.group()) + dice.choice([-1, 1, 2, 5, 10, 100]))
    return text[: m.start()] + new + text[m.end() :] if int(new) >= 0 else None


def _not(text: str, dice: random.Random) -> str | None:
    m = re.search(
        r"\b(is|are|was|were|does|do|did|can|could|should|would|will|has|have)\b (i|you|we|they|he|she|it|the \w+|my \w+|[a-z]+)\b",
        text,
        re.IGNORECASE,
    )
    return text[: m.end()] + " not" + text[m.end() :] if m else None


def _dropped(text: str, dice: random.Random) -> str | None:
    words = text.split()
    long = [i for i, w in enumerate(words) if len(w) > 5 and i > 2]
    if len(words) < 6 or not long:
        return None
    i = dice.choice(long)
    return " ".join(words[:i] + words[i + 1 :])


_THINGS = (
    "kitchen bicycle mountain contract garden window battery teacher engine river painting ticket hospital keyboard magazine weather salary "
    "camera jacket market bridge forest planet recipe insurance election wedding museum airport piano novel carpet medicine blanket"
).split()


def _other_noun(text: str, dice: random.Random) -> str | None:
    words = text.split()
    long = [i for i, w in enumerate(words) if len(w.strip("?.,!")) > 4 and i > 1 and w.strip("?.,!").isalpha()]
    if not long:
        return None
    i = dice.choice(long)
    bare = words[i].strip("?.,!")
    return " ".join([*words[:i], words[i].replace(bare, dice.choice(_THINGS)), *words[i + 1 :]])


_QUALIFIERS = (
    "for beginners|in winter|for kids|without a car|on a Mac|for free|at night|in Texas|with one hand|for seniors|online|for vegetarians|"
    "on weekends|in a small town|during pregnancy|with a cold|on a tight budget|in the EU|for a large company|at home|on Android|in my twenties|"
    "in the 19th century|in the rain|after midnight|as a student|with a baby|under water|without internet|in hospitals|for left-handed people|"
    "by hand|in China|near the sea|in a hurry|legally|abroad|in space|for two people|on an empty stomach|with a friend|by email"
).split("|")


def _qualified(text: str, dice: random.Random) -> str | None:
    return _suffix(dice.choice(_QUALIFIERS))(text, dice)


def _asks_more(text: str, dice: random.Random) -> str | None:
    more = [
        "And why?",
        "Also, what does it cost?",
        "Answer in Spanish.",
        "Which one is the cheapest?",
        "Reply with one word.",
        "Who decided that?",
        "And how long does it take?",
    ]
    return f"{text} {dice.choice(more)}"


HARMLESS: list[tuple[str, Change]] = [
    ("greeting", _prefix("Hi, ", "Hello, ", "Hey, ", "Good morning, ")),
    (
        "polite",
        _prefix(
            "Please tell me: ",
            "Can you please tell me, ",
            "I would like to know: ",
            "Quick question: ",
            "I have a question: ",
            "I was wondering, ",
            "Just curious, ",
        ),
    ),
    ("thanks", _suffix("Thanks!", "Thank you.", "please", "Please help.", "Thanks in advance.")),
    ("plain", _plain),
    ("spaced", _spaced),
    ("typo", _typo),
    (
        "contracted",
        _swap_words(
            "what is/what's",
            "how is/how's",
            "where is/where's",
            "do not/don't",
            "does not/doesn't",
            "can not/can't",
            "is not/isn't",
            "I am/I'm",
            "I have/I've",
            "it is/it's",
            "that is/that's",
        ),
    ),
    (
        "how",
        _swap_words(
            "how do I/how can I/how to/how would I/how do you/how can one/what is the way to/what's the best way to",
            "how should I/how do I",
        ),
    ),
    (
        "what",
        _swap_words(
            "what are some/what are/which are/tell me some",
            "what is the/tell me the/what's the",
            "what is a good/can you recommend a",
            "what is the best/which is the best/what would be the best",
        ),
    ),
    (
        "can",
        _swap_words(
            "can I/is it possible to/could I/am I able to",
            "can you/could you/would you",
            "is there a way to/is it possible to",
        ),
    ),
    (
        "spelling",
        _swap_words(
            "color/colour",
            "favorite/favourite",
            "organize/organise",
            "center/centre",
            "behavior/behaviour",
            "traveling/travelling",
            "license/licence",
        ),
    ),
    (
        "synonym",
        _swap_words(
            "buy/purchase",
            "begin/start",
            "big/large",
            "movie/film",
            "picture/photo",
            "quickly/fast",
            "error/bug",
            "fix/repair",
            "job/work",
            "reason/cause",
            "children/kids",
            "phone/smartphone",
            "remove/delete",
            "improve/enhance",
            "quit/stop",
            "effects/impacts",
            "help/assist",
            "get/obtain",
            "use/utilize",
            "smart/intelligent",
            "important/crucial",
            "about/regarding",
            "people/persons",
            "difference/differences",
            "method/way",
            "ways/methods",
            "tips/advice",
        ),
    ),
    ("digits", _digits),
    ("fronted", _fronted),
    (
        "adverb",
        _swap_words(
            "is/is actually",
            "are/are actually",
            "can I/can I actually",
            "do I/do I actually",
            "does/does really",
            "best/very best",
            both=False,
        ),
    ),
    ("article", _swap_words("a/the", "some/any")),
]

HARMFUL: list[tuple[str, Change]] = [
    ("number", _number_other),
    ("year", _suffix("in 2019", "in 1998", "since 2020", "before 2010")),
    ("not", _not),
    ("without", _swap_words("with/without", "for/against")),
    (
        "antonym",
        _swap_words(
            "best/worst",
            "buy/sell",
            "increase/decrease",
            "cheap/expensive",
            "before/after",
            "open/close",
            "good/bad",
            "big/small",
            "start/stop",
            "add/remove",
            "win/lose",
            "fast/slow",
            "hot/cold",
            "high/low",
            "old/new",
            "easy/hard",
            "more/less",
            "most/least",
            "first/last",
            "send/receive",
            "love/hate",
            "learn/teach",
            "gain/lose",
            "import/export",
            "rich/poor",
            "strong/weak",
            "always/never",
            "advantages/disadvantages",
            "safe/dangerous",
            "happy/sad",
            "upload/download",
            "earn/spend",
            "accept/reject",
            "enable/disable",
            "lock/unlock",
            "install/uninstall",
            "long/short",
            "men/women",
            "boys/girls",
            "husband/wife",
            "left/right",
            "true/false",
        ),
    ),
    ("question word", _swap_words("how/why", "when/where", "who/when", "why/when", "what/who", "where/how")),
    ("tense", _swap_words("is/was", "are/were", "does/did", "do/did", "will/did", "will/would", "has/had")),
    ("modal", _swap_words("should/can", "can/must", "should/will", "could/should", "do I/should I")),
    ("dropped", _dropped),
    ("other noun", _other_noun),
    ("qualified", _qualified),
    ("only", _swap_words("is/is only", "are/are only", "can/can only", "do/do only", both=False)),
    ("asks more", _asks_more),
    ("person", _swap_words("I/my brother", "my/your", "my/her", "I/she", "you/they", "me/him", "my/his")),
    (
        "kind of question",
        _swap_words(
            "how do I/how often do I/why do I/when do I/where do I/should I",
            "what is/who is/where is/when is/why is",
            "how long/how often/how much",
            "how many/how big",
            "is/is it normal that",
            both=False,
        ),
    ),
    (
        "aspect",
        _swap_words(
            "be/become",
            "is/used to be",
            "use/stop using",
            "get/avoid",
            "do/avoid",
            "work/fail",
            "buy/rent",
            "buy/return",
            "change/keep",
            "open/freeze",
            "send/cancel",
            "make/break",
            "find/hide",
            "learn/forget",
            "order/cancel",
            "cancel/renew",
            "pay/refund",
        ),
    ),
    (
        "verb",
        _swap_words(
            "make/sell/paint/steal/clean/store",
            "find/lose/build/price",
            "improve/measure/ruin",
            "learn/judge/ban",
            "write/read/print/sing",
            "use/invent/repair",
            "travel/move/study",
            "cook/grow/taste",
            "prepare/cheat",
            "download/delete",
            "eat/plant/buy",
        ),
    ),
    (
        "place",
        _swap_words(
            "India/Brazil/Texas",
            "US/UK/Canada",
            "China/Japan",
            "Delhi/Mumbai",
            "London/Paris",
            "America/Australia",
            "home/school",
            "city/village",
            "world/country",
        ),
    ),
    (
        "thing",
        _swap_words(
            "phone/laptop/watch",
            "car/bike/boat",
            "book/movie/song/game",
            "job/hobby/degree",
            "money/time/weight",
            "card/cheque/coupon",
            "account/password/profile",
            "company/school/church",
            "girl/boy",
            "dog/cat",
            "website/book",
            "language/country",
            "water/milk",
            "hair/skin/teeth",
            "email/letter",
            "exam/interview",
            "college/company",
            "card/transfer",
            "payment/refund/transfer",
            "PIN/password",
            "top-up/transfer",
        ),
    ),
]
