"""Word knowledge for the guards and the judge: what is opposite, what is of one kind, what means the same.

Only data and its parsing live here, every word in the form that `stem` gives it. Adding a line is always safe to try:
opposites and kinds make the cache stricter, synonyms and aliases make it more generous.
"""

from functools import lru_cache

__all__ = [
    "ACTIONS",
    "ALIASES",
    "ANTONYMS",
    "BASES",
    "COMPARATIVES",
    "DEMONYMS",
    "FILLERS",
    "FOREIGN",
    "FUNCTION_WORDS",
    "KINDS",
    "MONTHS",
    "NEGATORS",
    "NUMBER_WORDS",
    "PREPOSITIONS",
    "SCOPES",
    "UNITS",
    "VERBS",
    "are_synonyms",
    "stem",
]

_IRREGULAR = dict(
    pair.split("/")
    for pair in [
        "went/go",
        "gone/go",
        "goes/go",
        "does/do",
        "did/do",
        "done/do",
        "bought/buy",
        "sold/sell",
        "lost/lose",
        "won/win",
        "made/make",
        "said/say",
        "told/tell",
        "got/get",
        "gotten/get",
        "took/take",
        "taken/take",
        "gave/give",
        "given/give",
        "came/come",
        "saw/see",
        "seen/see",
        "knew/know",
        "known/know",
        "thought/think",
        "found/find",
        "left/leave",
        "felt/feel",
        "kept/keep",
        "held/hold",
        "brought/bring",
        "wrote/write",
        "written/write",
        "sent/send",
        "paid/pay",
        "spent/spend",
        "built/build",
        "ran/run",
        "began/begin",
        "begun/begin",
        "broke/break",
        "broken/break",
        "chose/choose",
        "chosen/choose",
        "drove/drive",
        "driven/drive",
        "ate/eat",
        "eaten/eat",
        "fell/fall",
        "fallen/fall",
        "flew/fly",
        "flown/fly",
        "forgot/forget",
        "forgotten/forget",
        "froze/freeze",
        "frozen/freeze",
        "grew/grow",
        "grown/grow",
        "hid/hide",
        "hidden/hide",
        "rode/ride",
        "ridden/ride",
        "rose/rise",
        "risen/rise",
        "sang/sing",
        "sung/sing",
        "sank/sink",
        "sunk/sink",
        "spoke/speak",
        "spoken/speak",
        "stole/steal",
        "stolen/steal",
        "swam/swim",
        "swum/swim",
        "taught/teach",
        "threw/throw",
        "thrown/throw",
        "understood/understand",
        "wore/wear",
        "worn/wear",
        "met/meet",
        "led/lead",
        "fought/fight",
        "caught/catch",
        "drew/draw",
        "drawn/draw",
        "drank/drink",
        "drunk/drink",
        "shot/shoot",
        "slept/sleep",
        "stood/stand",
        "struck/strike",
        "sought/seek",
        "shown/show",
        "lent/lend",
        "men/man",
        "women/woman",
        "children/child",
        "people/person",
        "persons/person",
        "mice/mouse",
        "feet/foot",
        "teeth/tooth",
        "geese/goose",
        "wives/wife",
        "lives/life",
        "knives/knife",
        "leaves/leave",
        "selves/self",
        "wolves/wolf",
        "halves/half",
        "shelves/shelf",
        "data/data",
        "media/media",
        "news/news",
        "dying/die",
        "lying/lie",
        "tying/tie",
        "better/better",
        "best/best",
        "worse/worse",
        "worst/worst",
        "this/this",
        "his/his",
        "has/have",
        "had/have",
        "bus/bus",
        "gas/gas",
        "lens/lens",
        "us/us",
        "is/is",
        "was/was",
        "as/as",
        "yes/yes",
        "always/always",
        "perhaps/perhaps",
        "during/during",
        "nothing/nothing",
        "something/something",
        "anything/anything",
        "everything/everything",
        "thing/thing",
        "king/king",
        "ring/ring",
        "spring/spring",
        "morning/morning",
        "evening/evening",
        "string/string",
        "bring/bring",
        "need/need",
        "feed/feed",
        "speed/speed",
        "seed/seed",
        "weed/weed",
        "red/red",
        "bed/bed",
        "movie/movie",
        "cookie/cookie",
        "species/species",
        "series/series",
        "physics/physics",
        "mathematics/math",
        "maths/math",
        "economics/economics",
        "politics/politics",
        "analysis/analysis",
        "analyses/analysis",
        "basis/basis",
        "crisis/crisis",
    ]
)

_OUR = frozenset(
    [
        "colour",
        "favour",
        "flavour",
        "honour",
        "humour",
        "labour",
        "neighbour",
        "rumour",
        "behaviour",
        "harbour",
        "odour",
        "vapour",
        "favourite",
        "armour",
    ]
)
_ISE = frozenset(
    [
        "exercise",
        "promise",
        "advise",
        "rise",
        "wise",
        "surprise",
        "otherwise",
        "raise",
        "noise",
        "cruise",
        "precise",
        "franchise",
        "disguise",
        "likewise",
        "comprise",
        "devise",
        "revise",
        "supervise",
        "expertise",
        "enterprise",
        "merchandise",
        "compromise",
        "improvise",
        "televise",
        "praise",
        "paradise",
        "concise",
        "demise",
        "premise",
        "treatise",
        "excise",
        "circumcise",
        "arise",
        "bruise",
        "poise",
        "despise",
        "sunrise",
        "appraise",
        "disease",
        "turquoise",
        "tortoise",
        "malaise",
    ]
)
_SPELLINGS = dict(
    pair.split("/")
    for pair in [
        "centre/center",
        "theatre/theater",
        "metre/meter",
        "litre/liter",
        "fibre/fiber",
        "grey/gray",
        "programme/program",
        "cheque/check",
        "licence/license",
        "defence/defense",
        "offence/offense",
        "tyre/tire",
        "aluminium/aluminum",
        "jewellery/jewelry",
        "catalogue/catalog",
        "dialogue/dialog",
        "plough/plow",
        "mum/mom",
        "doughnut/donut",
        "ok/okay",
        "wifi/wifi",
        "wi-fi/wifi",
        "e-mail/email",
        "analyse/analyze",
        "paralyse/paralyze",
        "travelling/traveling",
        "travelled/traveled",
        "cancelled/canceled",
        "cancelling/canceling",
        "labelled/labeled",
        "modelling/modeling",
        "kilometre/kilometer",
        "centimetre/centimeter",
        "millimetre/millimeter",
        "skilful/skillful",
        "fulfil/fulfill",
        "enrol/enroll",
        "pyjamas/pajamas",
        "moustache/mustache",
        "sceptical/skeptical",
    ]
)


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """The form under which inflections and spellings of one lower-case English word meet; not always a word itself."""
    word = _SPELLINGS.get(word, word)
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 3:
        return word
    if word in _OUR or (word.endswith("s") and word[:-1] in _OUR):
        word = word.replace("our", "or", 1) if word != "favourite" else "favorite"
    base = word
    if word.endswith("ies") and len(word) > 4:
        base = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes", "zes")):
        base = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        base = word[:-1]
    elif word.endswith("ied") and len(word) > 4:
        base = word[:-3] + "y"
    elif word.endswith("ed") and len(word) > 4 and any(c in "aeiouy" for c in word[:-2]):
        base = _undouble(word[:-2])
    elif word.endswith("ing") and len(word) > 5 and any(c in "aeiouy" for c in word[:-3]):
        base = _undouble(word[:-3])
    if base in _IRREGULAR:
        return _IRREGULAR[base]
    if (base.endswith("ise") or (base.endswith("is") and base != word)) and len(base) > 4:
        whole = base.removesuffix("e")
        base = base if whole + "e" in _ISE else whole[:-1] + "ize"
    if base.endswith("isation"):
        base = base[:-7] + "ization"
    if len(base) > 3 and base.endswith("e"):
        base = base[:-1]
    return base


def _undouble(base: str) -> str:
    return base[:-1] if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz" else base


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


FUNCTION_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "this",
        "that",
        "these",
        "those",
        "some",
        "any",
        "each",
        "every",
        "all",
        "both",
        "either",
        "such",
        "what",
        "which",
        "who",
        "whom",
        "whose",
        "when",
        "where",
        "why",
        "how",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "am",
        "do",
        "does",
        "did",
        "done",
        "doing",
        "have",
        "has",
        "had",
        "having",
        "can",
        "could",
        "will",
        "would",
        "shall",
        "should",
        "may",
        "might",
        "must",
        "ought",
        "i",
        "me",
        "my",
        "mine",
        "myself",
        "you",
        "your",
        "yours",
        "yourself",
        "he",
        "him",
        "his",
        "himself",
        "she",
        "her",
        "hers",
        "herself",
        "it",
        "its",
        "itself",
        "we",
        "us",
        "our",
        "ours",
        "ourselves",
        "they",
        "them",
        "their",
        "theirs",
        "themselves",
        "one",
        "ones",
        "someone",
        "somebody",
        "anyone",
        "anybody",
        "everyone",
        "and",
        "or",
        "but",
        "if",
        "then",
        "than",
        "so",
        "as",
        "of",
        "in",
        "on",
        "at",
        "by",
        "for",
        "with",
        "about",
        "against",
        "between",
        "into",
        "through",
        "during",
        "before",
        "after",
        "above",
        "below",
        "to",
        "from",
        "up",
        "down",
        "out",
        "off",
        "over",
        "under",
        "again",
        "further",
        "once",
        "here",
        "there",
        "not",
        "no",
        "nor",
        "never",
        "only",
        "own",
        "same",
        "too",
        "very",
        "just",
        "also",
        "even",
        "still",
        "already",
        "yet",
        "ever",
        "now",
        "else",
        "rather",
        "quite",
        "really",
        "actually",
        "let",
        "lets",
        "get",
        "gets",
        "got",
        "getting",
        "go",
        "goes",
        "going",
        "gonna",
        "s",
        "t",
        "d",
        "ll",
        "m",
        "re",
        "ve",
        "please",
        "ok",
        "because",
        "while",
        "until",
        "although",
        "though",
        "whether",
        "via",
        "per",
        "upon",
        "within",
        "without",
        "along",
        "across",
        "behind",
        "beyond",
        "near",
        "since",
        "toward",
        "towards",
        "onto",
        "around",
        "among",
        "despite",
        "except",
        "like",
    ]
)
"""Words that carry grammar, not the subject; guards read many of them on their own."""

FILLERS = frozenset(
    [
        "please",
        "kindly",
        "hi",
        "hello",
        "hey",
        "thanks",
        "thank",
        "actually",
        "really",
        "literally",
        "currently",
        "indeed",
        "basically",
        "simply",
        "just",
        "very",
        "quite",
        "truly",
        "exactly",
        "tell",
        "me",
        "know",
        "explain",
        "give",
        "show",
        "want",
        "would",
        "like",
        "need",
        "could",
        "can",
        "help",
        "wondering",
        "wonder",
        "curious",
        "question",
        "ask",
        "asking",
        "possible",
        "possibly",
        "maybe",
        "perhaps",
        "so",
        "well",
        "okay",
        "way",
        "ways",
        "thing",
        "things",
    ]
)
"""Words whose presence or absence changes no question by itself."""

FOREIGN = frozenset(
    [
        "der",
        "die",
        "das",
        "und",
        "ist",
        "nicht",
        "ein",
        "eine",
        "ich",
        "wie",
        "kann",
        "mein",
        "für",
        "mit",
        "auf",
        "von",
        "wo",
        "warum",
        "welche",
        "welcher",
        "welches",
        "bitte",
        "den",
        "dem",
        "im",
        "zum",
        "zur",
        "sind",
        "le",
        "la",
        "les",
        "des",
        "du",
        "et",
        "est",
        "que",
        "qui",
        "une",
        "un",
        "je",
        "comment",
        "pourquoi",
        "quel",
        "quelle",
        "où",
        "dans",
        "pour",
        "avec",
        "sur",
        "mon",
        "ma",
        "mes",
        "ce",
        "cette",
        "c'est",
        "au",
        "aux",
        "el",
        "los",
        "las",
        "es",
        "una",
        "por",
        "para",
        "con",
        "cómo",
        "qué",
        "cuál",
        "dónde",
        "cuándo",
        "puedo",
        "mi",
        "del",
        "su",
        "está",
        "al",
        "y",
        "il",
        "lo",
        "gli",
        "che",
        "di",
        "è",
        "come",
        "perché",
        "dove",
        "quando",
        "posso",
        "mio",
        "mia",
        "della",
        "dei",
        "nel",
        "sono",
        "o",
        "os",
        "um",
        "uma",
        "como",
        "por",
        "que",
        "onde",
        "quando",
        "posso",
        "meu",
        "minha",
        "não",
        "em",
        "da",
        "do",
        "na",
        "no",
        "é",
        "são",
        "para",
        "de",
        "het",
        "een",
        "hoe",
        "waarom",
        "wat",
        "waar",
        "kan",
        "ik",
        "mijn",
        "voor",
        "met",
        "van",
        "en",
        "op",
        "zijn",
        "och",
        "att",
        "det",
        "som",
        "är",
        "jag",
        "hur",
        "varför",
        "vad",
        "på",
        "jeg",
        "hvordan",
        "hvorfor",
        "er",
        "til",
        "jak",
        "co",
        "gdzie",
        "dlaczego",
        "czy",
        "jest",
        "nie",
        "moje",
        "na",
        "się",
        "nasıl",
        "ne",
        "nerede",
        "neden",
        "bir",
        "bu",
        "ve",
        "için",
    ]
) - frozenset(
    [
        "i",
        "a",
        "an",
        "in",
        "on",
        "do",
        "no",
        "me",
        "so",
        "to",
        "at",
        "as",
        "come",
        "die",
        "is",
        "an",
        "o",
        "um",
        "y",
        "na",
        "so",
        "man",
        "was",
        "of",
        "van",
        "co",
        "en",
        "ma",
        "mi",
        "da",
    ]
)
"""Grammar words of other languages, where they cannot be taken for English ones."""

PREPOSITIONS = frozenset(
    [
        "to",
        "into",
        "from",
        "by",
        "than",
        "in",
        "on",
        "at",
        "with",
        "without",
        "for",
        "of",
        "about",
        "before",
        "after",
        "during",
        "since",
        "until",
        "over",
        "under",
        "between",
        "against",
        "via",
        "through",
        "onto",
        "per",
        "like",
        "toward",
        "towards",
        "within",
        "across",
        "behind",
        "above",
        "below",
        "inside",
        "outside",
        "except",
        "besides",
    ]
)

NEGATORS = frozenset(
    [
        "not",
        "no",
        "never",
        "none",
        "nobody",
        "nothing",
        "nowhere",
        "neither",
        "nor",
        "without",
        "cannot",
        "hardly",
        "barely",
        "scarcely",
        "nicht",
        "kein",
        "keine",
        "keinen",
        "nie",
        "niemals",
        "ohne",
        "pas",
        "jamais",
        "aucun",
        "aucune",
        "sans",
        "nunca",
        "sin",
        "ningún",
        "ninguna",
        "jamás",
        "não",
        "nem",
        "sem",
        "non",
        "mai",
        "senza",
        "niet",
        "geen",
        "nooit",
        "zonder",
        "inte",
        "aldrig",
        "ikke",
        "aldri",
        "ei",
        "nie",
        "bez",
        "не",
        "нет",
        "никогда",
        "без",
    ]
)
"""Words that turn a statement round, in the languages that providers see most."""

SCOPES = {
    word: group
    for group, words in {
        "only": "only solely exclusively merely",
        "except": "except excluding",
        "all": "all every each entire whole everything everyone everybody",
        "some": "some few several somebody someone something",
        "most": "most mostly majority usually often frequently",
        "none": "none nobody",
        "always": "always constantly",
        "sometimes": "sometimes occasionally rarely seldom",
        "at least": "least minimum minimal min",
        "at most": "maximum maximal max",
        "first": "first earliest initial",
        "last": "last final latest",
        "both": "both",
        "either": "either",
    }.items()
    for word in words.split()
}
"""Quantifiers and limits by the group whose members may stand for each other."""

MONTHS = {
    name: number
    for number, names in enumerate(
        [
            "january/jan",
            "february/feb",
            "march/mar",
            "april/apr",
            "may",
            "june/jun",
            "july/jul",
            "august/aug",
            "september/sep/sept",
            "october/oct",
            "november/nov",
            "december/dec",
        ],
        1,
    )
    for name in names.split("/")
}

UNITS = {
    word: group.split()[0]
    for group in """km kms kilometer kilometers kilometre kilometres
m meter meters metre metres
cm centimeter centimeters centimetre centimetres
mm millimeter millimeters millimetre millimetres
mile miles mi
inch inches
foot feet ft
yard yards yd
kg kgs kilo kilos kilogram kilograms
g gram grams
mg milligram milligrams
lb lbs pound pounds
oz ounce ounces
ton tons tonne tonnes
l liter liters litre litres
ml milliliter milliliters millilitre millilitres
gallon gallons gal
cup cups
tbsp tablespoon tablespoons
tsp teaspoon teaspoons
second seconds sec secs
minute minutes min mins
hour hours hr hrs
day days
week weeks
month months
year years yr yrs
decade decades
century centuries
celsius °c
fahrenheit °f
kelvin
byte bytes
kb kilobyte kilobytes
mb megabyte megabytes
gb gigabyte gigabytes
tb terabyte terabytes
bit bits
mph
kmh kph
hz hertz
khz kilohertz
mhz megahertz
ghz gigahertz
volt volts
watt watts
kw kilowatt kilowatts
kwh
amp amps ampere amperes
ohm ohms
joule joules
calorie calories cal kcal
pascal pascals
psi
bar bars
acre acres
hectare hectares
dollar dollars usd $ bucks
euro euros eur €
gbp £ sterling
rupee rupees inr rs ₹
yen jpy ¥
yuan rmb cny
cent cents
penny pennies
ms millisecond milliseconds
px pixel pixels
degree degrees °
percent percentage %""".splitlines()
    for word in group.split()
}
"""Unit words by their canonical name."""

NUMBER_WORDS = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
} | dict(
    zip(
        ["twenty", "thirty", "forty", "fourty", "fifty", "sixty", "seventy", "eighty", "ninety", "dozen"],
        (20, 30, 40, 40, 50, 60, 70, 80, 90, 12),
        strict=True,
    )
)

VERBS = _stems(
    """add adjust allow analyze answer apply argue arrange ask attach avoid bake be beat become begin believe block boil book borrow break
bring build burn buy calculate call cancel care carry catch change charge check choose clean clear click close code collect
come compare compile complete compute configure connect convert cook copy correct count create cut deal debug decide declare
decrease define delete deliver deploy describe design detect determine develop die disable discuss divide do download draw
drink drive earn eat edit eliminate enable encrypt enter erase escape estimate exchange execute exit expand explain export
extract fail fall fight fill filter find finish fix fly follow forget format gain generate get give go grow handle have heal
hear help hide hire hold host identify ignore implement import improve increase initialize insert install invest invite join
jump keep kill know launch learn leave lend let lift link list listen live load lock log look loop lose lower maintain make
manage map match measure meet merge migrate modify monitor mount move multiply need open optimize order organize overcome
paint parse pass pause pay perform pick plan plant play post practice prepare prevent print process produce program protect
prove provide publish pull purchase push put quit raise read rebuild receive recognize recommend record recover reduce refactor
refund register remember remove rename render renew rent repair replace reply report request reset resize resolve restart
restore retrieve return reverse revert ride rotate run save say scale scan schedule search see sell send separate serve set
setup share show shut sign simplify sing sleep solve sort speak specify speed spend split start stay stop store study
submit subscribe subtract succeed suggest summarize support survive swap swim switch sync take talk teach tell test think
throw tie track trade train transfer transform translate travel treat trim try turn type understand undo uninstall unlock
update upgrade upload use validate verify view visit wait wake walk want wash watch wear win withdraw work worry wrap write""".replace(
        "\n", " "
    )
)
"""Common verbs, so that "to" before one is not a direction."""

_ANTONYM_PAIRS = """
buy/sell purchase/sell buyer/seller import/export on/off enable/disable enabled/disabled activate/deactivate increase/decrease
increase/reduce raise/lower raise/reduce grow/shrink expand/shrink expand/contract add/remove add/subtract add/delete
insert/delete create/delete create/destroy install/uninstall upload/download push/pull open/close open/closed open/shut
start/stop start/end start/finish begin/end begin/finish start/quit lock/unlock block/unblock mute/unmute hide/show
hide/reveal subscribe/unsubscribe follow/unfollow like/dislike love/hate like/hate accept/reject accept/refuse accept/decline
approve/reject approve/deny allow/forbid allow/deny allow/block allow/prevent permit/forbid grant/revoke connect/disconnect
attach/detach mount/unmount wrap/unwrap zip/unzip compress/decompress encrypt/decrypt encode/decode serialize/deserialize
marshal/unmarshal pack/unpack load/unload load/save read/write send/receive give/take give/receive lend/borrow win/lose
gain/lose pass/fail succeed/fail success/failure victory/defeat attack/defend arrive/depart arrive/leave enter/exit enter/leave
come/go join/leave join/split merge/split hire/fire employ/dismiss marry/divorce deposit/withdraw deposit/withdrawal earn/spend
save/spend save/waste debit/credit profit/loss asset/liability income/expense cheap/expensive rich/poor wealthy/poor high/low
higher/lower highest/lowest tall/short taller/shorter tallest/shortest long/short longer/shorter longest/shortest big/small
bigger/smaller biggest/smallest large/small larger/smaller largest/smallest huge/tiny wide/narrow wider/narrower widest/narrowest
thick/thin thicker/thinner deep/shallow deeper/shallower heavy/light heavier/lighter heaviest/lightest fast/slow faster/slower
fastest/slowest quick/slow quicker/slower quickly/slowly hot/cold hotter/colder hottest/coldest warm/cool warmer/cooler warm/cold
warmer/colder old/young older/younger oldest/youngest old/new older/newer oldest/newest ancient/modern early/late earlier/later
earliest/latest good/bad good/evil better/worse best/worst positive/negative pro/con advantage/disadvantage benefit/drawback
benefit/risk strength/weakness strong/weak stronger/weaker hard/soft hard/easy harder/easier hardest/easiest difficult/easy
simple/complex easy/challenging
right/wrong right/left correct/incorrect true/false yes/no safe/dangerous safe/unsafe safer/riskier legal/illegal healthy/unhealthy
healthy/sick alive/dead live/die birth/death born/dead before/after previous/next past/future yesterday/tomorrow first/last
up/down upper/lower top/bottom above/below over/under inside/outside inner/outer indoor/outdoor in/out internal/external front/back
forward/backward forwards/backwards north/south east/west northern/southern eastern/western ascending/descending asc/desc
ascend/descend maximum/minimum max/min maximize/minimize maximal/minimal most/least more/less more/fewer
many/few much/little full/empty fill/empty day/night light/dark bright/dark black/white clean/dirty wet/dry rough/smooth sharp/dull
tight/loose tighten/loosen fresh/stale raw/cooked public/private global/local
remote/local online/offline sync/async synchronous/asynchronous static/dynamic mutable/immutable
input/output client/server frontend/backend question/answer ask/answer cause/effect lead/follow teach/learn
teacher/student employer/employee landlord/tenant parent/child husband/wife man/woman boy/girl male/female king/queen
brother/sister son/daughter mother/father mom/dad uncle/aunt host/guest predator/prey winner/loser friend/enemy ally/enemy hero/villain
optimist/pessimist optimistic/pessimistic brave/cowardly brave/fearful courageous/fearful courageous/cowardly thin/fat slim/fat brave/afraid cautious/brave cautious/reckless humble/proud humble/arrogant
modest/arrogant active/passive active/inactive lazy/hardworking lazy/active visible/invisible introverted/extroverted
introvert/extrovert shy/outgoing shy/confident confident/insecure calm/anxious patient/impatient polite/rude kind/cruel kind/mean
generous/selfish generous/greedy honest/dishonest loyal/disloyal smart/stupid intelligent/stupid smart/dumb wise/foolish happy/sad
happy/unhappy cheerful/sad nervous/calm excited/bored interesting/boring beautiful/ugly pretty/ugly attractive/ugly famous/unknown
popular/unpopular rare/common usual/unusual normal/abnormal regular/irregular necessary/unnecessary possible/impossible
specific/general specific/unspecific general/particular abstract/concrete religious/secular conservative/liberal conservative/progressive
friendly/hostile serious/funny organized/messy tidy/messy responsible/irresponsible mature/immature sober/drunk hopeful/hopeless
useful/useless careful/careless helpful/helpless powerful/powerless harmful/harmless painful/painless meaningful/meaningless
guilty/innocent sane/insane asleep/awake present/absent presence/absence domestic/foreign domestic/international
urban/rural odd/even vertical/horizontal row/column major/minor majority/minority senior/junior superior/inferior
theory/practice war/peace love/hatred hope/despair beginning/end entrance/exit ceiling/floor sunrise/sunset summer/winter
morning/evening am/pm today/tomorrow today/yesterday weekday/weekend monogamy/polygamy vegetarian/carnivore supply/demand
bull/bear bullish/bearish long/flat overweight/underweight overrated/underrated overestimate/underestimate upgrade/downgrade
upstream/downstream uphill/downhill upstairs/downstairs upvote/downvote login/logout log-in/log-out signin/signout inbound/outbound
incoming/outgoing ingress/egress inhale/exhale include/exclude including/excluding inflate/deflate inflation/deflation
immigrate/emigrate immigrant/emigrant implicit/explicit introduce/remove import/dump horizontal/diagonal accelerate/decelerate
accelerate/slow speed/slow strengthen/weaken encourage/discourage encourage/prevent support/oppose support/criticize agree/disagree
praise/criticize praise/blame reward/punish reward/punishment admit/deny confirm/deny remember/forget find/lose keep/discard
keep/lose keep/remove build/demolish build/destroy repair/break fix/break cause/prevent cause/cure treat/cause promote/demote
promote/prevent freeze/melt freeze/thaw freeze/unfreeze boil/freeze heat/cool warm/chill wake/sleep rise/fall rise/set
stand/sit float/sink throw/catch lift/drop pick/drop put/remove put/take pause/resume stop/continue stop/resume cancel/confirm
cancel/renew cancel/keep cancel/book cancel/order cancel/continue order/return
expire/renew dock/undock link/unlink pin/unpin tag/untag archive/unarchive ban/unban register/unregister check/uncheck
select/deselect undo/redo do/undo commit/revert commit/rollback deploy/undeploy attack/protect
credit/charge refund/charge shorten/lengthen shorten/extend extend/reduce extend/shorten widen/narrow
loosen/fasten tie/untie dress/undress cover/uncover bury/dig appear/disappear trust/distrust obey/disobey prove/disprove
qualify/disqualify infect/disinfect continue/discontinue able/unable ability/inability certain/uncertain known/unknown aware/unaware
fair/unfair likely/unlikely lucky/unlucky equal/unequal stable/unstable reliable/unreliable secure/insecure formal/informal
direct/indirect finite/infinite complete/incomplete perfect/imperfect moral/immoral mortal/immortal logical/illogical
literate/illiterate relevant/irrelevant rational/irrational reversible/irreversible pure/impure practical/impractical
employed/unemployed employment/unemployment paid/unpaid married/single married/unmarried single/double singular/plural
acid/base acidic/alkaline solid/liquid gas/liquid sweet/sour sweet/bitter spicy/mild salty/sweet loud/quiet noisy/quiet crowded/empty
near/far close/far nearest/farthest closest/farthest here/there nearby/distant convex/concave sender/recipient sender/receiver
borrower/lender payer/payee giver/receiver plaintiff/defendant prosecution/defense plus/minus bonus/penalty surplus/deficit
shortage/surplus inflow/outflow stock/bond call/put offense/defense home/away exact/approximate minimum/highest
ascendant/descendant ancestor/descendant predecessor/successor prefix/suffix numerator/denominator multiply/divide square/root
integral/derivative integrate/differentiate convergent/divergent converge/diverge serial/parallel sequential/parallel
sequential/random opaque/transparent liberal/authoritarian democracy/dictatorship republican/democrat tax-free/taxable
taxable/nontaxable prepaid/postpaid wired/wireless manual/automatic automatic/stick permanent/temporary amateur/professional
beginner/expert beginner/advanced basic/advanced novice/expert vegetarian/vegan free/paid free/expensive pregnant/infertile
against/for with/without versus/with since/until from/to
alt/an aus/an ein/aus kaufen/verkaufen acheter/vendre comprar/vender avant/après vor/nach antes/después gut/schlecht bon/mauvais
bueno/malo links/rechts gauche/droite izquierda/derecha groß/klein grand/petit grande/pequeño
"""


def _antonyms() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in _ANTONYM_PAIRS.split():
        left, right = (stem(word) for word in pair.split("/"))
        if left != right:
            found.setdefault(left, set()).add(right)
            found.setdefault(right, set()).add(left)
    return {word: frozenset(others) for word, others in found.items()}


ANTONYMS = _antonyms()
"""Words by those that turn the question round."""

_GRADED = """tall short long big small large huge tiny wide narrow thick thin deep shallow heavy light fast slow quick hot cold warm cool
old young new early late good bad strong weak hard soft easy high low rich poor cheap dear smart dumb clever stupid wise kind nice
safe loud quiet clean dirty dry wet rough smooth sharp dull tight loose fresh bright dark great fine rare close near far healthy
wealthy happy sad angry funny pretty ugly busy lazy crazy scary simple large brave calm cute fair fat slim mean mild pale proud rude
sick shy sour steep sweet tough weird hungry thirsty friendly lonely noisy risky tasty tidy ugly""".split()


def _comparatives(word: str) -> tuple[str, str]:
    base = word[:-1] + "i" if word.endswith("y") and word[-2] not in "aeiou" else word.removesuffix("e")
    if len(word) <= 4 and word[-1] not in "wyer" and word[-2] in "aeiou" and word[-3] not in "aeiou":
        base += word[-1]
    return base + "er", base + "est"


COMPARATIVES = frozenset(form for word in _GRADED for form in _comparatives(word)) | frozenset(
    "better best worse worst more most less least farther farthest further furthest elder eldest".split()
)

BASES = {form: stem(word) for word in _GRADED for form in _comparatives(word)}
"""The stem that a comparative or superlative is made of."""

_KINDS = """
color: red blue green yellow orange purple pink brown gray black white violet cyan magenta beige turquoise gold silver maroon navy teal
weekday: monday tuesday wednesday thursday friday saturday sunday
month: january february march april june july august september october november december
season: spring summer autumn winter
animal: dog cat horse cow pig sheep goat chicken duck goose rabbit hamster mouse rat snake lizard turtle fish shark whale dolphin
animal: elephant lion tiger bear wolf fox deer monkey gorilla parrot eagle owl frog spider ant bee mosquito lobster crab squirrel bird penguin
body: head skull face eye ear nose mouth tooth tongue neck shoulder arm elbow wrist hand finger thumb chest rib back stomach hip leg
body: knee ankle foot toe heart lung liver kidney brain skin hair spine jaw calf thigh heel throat
family: mother father sister brother son daughter wife husband uncle aunt cousin nephew niece grandmother grandfather boyfriend girlfriend
family: grandson granddaughter stepmother stepfather mom dad fiance
sport: soccer football basketball baseball tennis golf hockey cricket rugby volleyball swimming boxing chess cycling badminton skiing
sport: wrestling surfing skating karate judo
instrument: guitar piano violin drum flute trumpet saxophone cello harp clarinet ukulele bass
planet: mercury venus earth mars jupiter saturn uranus neptune pluto moon sun
element: hydrogen helium oxygen nitrogen carbon iron copper zinc lead tin aluminum sodium potassium calcium magnesium chlorine
element: sulfur uranium mercury silicon lithium nickel platinum
fruit: apple banana orange grape mango strawberry blueberry cherry peach pear pineapple watermelon lemon lime kiwi plum avocado
food: rice pasta bread potato tomato onion carrot garlic beef pork steak ham bacon salmon tuna shrimp egg cheese butter milk
food: yogurt chocolate sugar salt honey soup salad pizza burger sandwich cake pie cookie noodle bean lentil tofu oat turkey lamb broccoli spinach
drink: coffee tea water juice beer wine soda vodka whiskey rum milk
vehicle: car truck bus train plane bicycle bike motorcycle boat ship helicopter subway tram scooter van taxi
metal: gold silver copper bronze steel iron aluminum titanium brass
fabric: cotton wool silk leather linen polyester denim nylon velvet
clothing: shirt pants shoe hat jacket coat dress skirt sock glove scarf sweater jeans boot belt tie suit
room: kitchen bathroom bedroom garage basement attic garden balcony hallway
furniture: table chair sofa bed desk shelf couch lamp mirror
tool: hammer screwdriver wrench drill saw pliers
shape: circle square triangle rectangle hexagon cube sphere cylinder cone pyramid
language: english french german spanish italian portuguese russian chinese mandarin japanese korean arabic hindi dutch swedish polish
language: turkish greek hebrew latin thai vietnamese danish norwegian finnish czech hungarian romanian urdu bengali tamil persian
religion: christian muslim jewish hindu buddhist atheist catholic protestant sikh mormon christianity islam judaism hinduism buddhism
nationality: american canadian british english french german spanish italian russian chinese japanese korean indian mexican brazilian
nationality: australian african european asian irish scottish swedish dutch polish turkish greek pakistani iranian egyptian nigerian
country: usa america canada mexico brazil argentina chile peru colombia england uk britain ireland scotland france germany spain italy
country: portugal netherlands belgium switzerland austria sweden norway denmark finland poland russia ukraine turkey greece egypt
country: israel iran iraq pakistan india china japan korea vietnam thailand indonesia malaysia singapore philippines australia
country: zealand nigeria kenya ethiopia morocco hungary romania czechia croatia serbia cuba venezuela afghanistan bangladesh nepal
city: london paris berlin madrid rome vienna moscow tokyo beijing shanghai delhi mumbai bangalore chennai sydney melbourne
city: toronto vancouver chicago boston seattle austin dallas houston miami denver phoenix atlanta detroit philadelphia amsterdam
city: dublin lisbon munich hamburg barcelona milan istanbul dubai cairo lagos nairobi seoul bangkok singapore jakarta kyoto osaka
continent: africa asia europe antarctica oceania
coding: python java javascript typescript ruby rust go golang c c++ c# php perl swift kotlin scala haskell lua r matlab julia bash
coding: powershell sql html css elixir erlang clojure fortran cobol dart objective-c assembly lisp ocaml f# zig solidity
framework: django flask fastapi rails spring laravel express react angular vue svelte jquery bootstrap tailwind symfony next.js nuxt
database: mysql postgresql postgres sqlite mongodb redis oracle cassandra mariadb dynamodb elasticsearch snowflake bigquery
library: pandas numpy tensorflow pytorch keras matplotlib polars scipy sklearn
system: windows linux macos mac ubuntu debian fedora android ios centos chromeos unix
browser: chrome firefox safari edge opera brave
cloud: aws azure gcp heroku digitalocean
device: phone laptop tablet desktop computer television tv monitor keyboard printer router camera headphone smartwatch
brand: apple samsung google microsoft amazon facebook twitter instagram snapchat tiktok linkedin youtube netflix spotify whatsapp
brand: telegram discord slack zoom skype uber lyft airbnb paypal venmo stripe visa mastercard amex tesla toyota honda ford bmw
brand: nike adidas sony nintendo intel amd nvidia dell lenovo hp nokia oneplus xiaomi huawei gmail outlook yahoo reddit pinterest
format: json xml yaml csv html markdown pdf toml docx xlsx png jpg jpeg gif svg mp3 mp4 wav zip tar
figure: revenue profit margin expense tax debt equity dividend valuation budget
datatype: string integer int float boolean bool array list tuple dict set map queue stack tree graph hashmap vector
sorting: quicksort mergesort heapsort bubblesort insertion
currency: dollar euro pound yen yuan rupee peso franc krona bitcoin ethereum dogecoin litecoin
meal: breakfast lunch dinner brunch supper snack
daypart: morning noon afternoon evening night midnight
degree: bachelor master phd mba doctorate diploma bsc msc btech mtech
disease: cancer diabetes asthma malaria flu covid cold pneumonia arthritis hepatitis tuberculosis migraine depression anxiety
organ: heart liver kidney lung brain
profession: doctor nurse lawyer attorney teacher engineer accountant architect actor actress artist author chef cook dentist driver
profession: economist editor electrician farmer firefighter historian journalist judge mechanic musician painter pharmacist
profession: photographer pilot plumber politician producer programmer psychologist scientist secretary singer soldier surgeon
profession: therapist translator waiter writer carpenter barber butcher baker poet dancer librarian philosopher physicist chemist biologist
medicine: ibuprofen aspirin paracetamol tylenol acetaminophen insulin penicillin amoxicillin antibiotic
account: checking savings credit debit prepaid
document: passport visa license certificate invoice receipt contract resume
cardinal: north south east west
pollutant: alcohol tobacco nicotine marijuana cocaine heroin meth caffeine
subject: math physics chemistry biology history geography economics psychology philosophy sociology astronomy algebra geometry calculus
genre: poem haiku limerick sonnet essay story song joke letter email speech script novel tweet summary
weather: rain snow wind storm hurricane tornado hail fog
gem: diamond ruby emerald sapphire pearl
"""


def _kinds() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _KINDS.strip().splitlines():
        kind, words = line.split(":")
        for word in words.split():
            found.setdefault(stem(word), set()).add(kind)
    return {word: frozenset(kinds) for word, kinds in found.items()}


KINDS = _kinds()
"""Words by the kinds of thing they name: two members of one kind are two different things."""

_ACTIONS = """
translate
summarize condense
rewrite rephrase paraphrase reword
proofread
classify categorize
explain describe
compare contrast
outline
critique criticize
debug fix repair
refactor
optimize
implement
"""
ACTIONS = {stem(word): line.split()[0] for line in _ACTIONS.strip().splitlines() for word in line.split()}
"""What a prompt orders done with a text, by the group whose members may stand for each other."""

_ALIASES = """
dict dictionary
usa us america u.s u.s.a states
uk britain u.k england
eu
uae emirates
ai artificial
un
nyc
js javascript
ts typescript
py python
golang go
postgres postgresql
k8s kubernetes
tv television
phone smartphone cellphone mobile
pc computer
photo picture image pic
bike bicycle
app application
ad advertisement
exam examination
lab laboratory
info information
doc documentation
db database
repo repository
config configuration
max maximum
min minimum
vs versus
math mathematics
uni university
fridge refrigerator
plane airplane aeroplane
auto automobile car
mom mother mum
dad father
kid child
movie film
"""
_SYNONYMS = """
begin start commence
end finish complete
buy purchase
big large huge
small little tiny
quick fast rapid speedy
quickly fast rapidly
smart intelligent clever bright
grateful thankful
happy glad joyful cheerful
sad unhappy
angry mad furious
scared afraid frightened
rich wealthy
stupid dumb unintelligent
brave courageous
humble modest
proud arrogant
beautiful pretty attractive gorgeous
difficult hard tough challenging
easy simple straightforward
important significant crucial essential key
main primary chief principal
correct right accurate
wrong incorrect
error bug issue problem fault
fix repair solve resolve correct
remove delete erase eliminate
reduce decrease lower lessen
increase raise boost
improve enhance better
create make build generate produce
obtain get acquire receive
get obtain receive
show display
hide conceal
choose select pick
use utilize employ
need require
want wish desire
like enjoy
help assist aid
ask inquire
answer reply respond
tell inform
say state
speak talk
look see
find locate discover
learn study
teach instruct
understand comprehend grasp
think believe consider
know aware
remember recall
forget
buy get
cost price fee charge
money cash
job work employment occupation
company firm business corporation
employee worker staff
boss manager supervisor
doctor physician
lawyer attorney
teacher instructor
student pupil
child kid
car automobile
house home
city town
country nation
way method approach technique manner
reason cause
result outcome consequence
effect impact
goal aim objective purpose
plan strategy
benefit advantage merit pro
drawback disadvantage downside con
difference distinction
type kind sort
example instance sample
part component piece
step stage
idea concept notion
meaning definition
mean define signify
tip advice suggestion
secret
trip journey travel
vacation holiday
movie film
picture photo image
book
song
function method
variable
list array
list enumerate
order sequence
string text
file document
folder directory
website site webpage
internet web
application app program software
program code
password passcode
login signin
cancel terminate
quit stop
allow permit
prevent avoid stop
verify confirm validate check
change modify alter edit update
convert transform turn
combine merge join
split separate divide
count number
compute calculate
amount quantity
average mean
total sum
maximum highest largest greatest max
minimum lowest smallest least min
best top greatest finest
worst
popular famous
famous well-known
common usual typical frequent
rare uncommon
current present
recent latest newest
old ancient
new latest
often frequently
always
usually generally typically normally
immediately instantly
currently now presently
approximately about roughly
also too
however
sick ill unwell
disease illness
medicine drug medication
pain ache
weight
fat
thin slim skinny
gain earn
earn make
lose shed
sleep
die
kill
live reside
marry wed
wedding marriage
wife spouse
husband spouse
food meal
cook prepare
eat consume
drink
clean wash
safe secure
dangerous risky hazardous harmful
legal lawful
illegal unlawful
free
cheap inexpensive affordable
expensive costly pricey
luggage baggage
flight
airport
card
transfer
refund reimbursement
deliver ship
delivery shipping shipment
arrive come
track trace
order
return
account profile
renew extend
register signup enroll
apply
contact reach
organized organised
freedom liberty
funny humorous hilarious amusing
interesting fascinating
boring dull
weird strange odd
lazy
polite courteous
rude impolite
honest truthful
calm relaxed
strong powerful
weak feeble
tired exhausted
healthy fit
wise sage
shy timid
brief short
assistant helper
obese fat
fatal deadly lethal
gift present
error mistake
sofa couch
garbage trash rubbish
gas gasoline petrol
elevator lift
apartment flat
cookie biscuit
pants trousers
sweater jumper
soccer football
fall autumn
truck lorry
subway metro underground
pharmacy chemist drugstore
vote poll
quotation quote
forecast predict prediction
shut close
ill sick
capital city
"""


def _groups(text: str) -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for number, line in enumerate(text.strip().splitlines()):
        for word in line.split():
            found.setdefault(stem(word), set()).add(number)
    return {word: frozenset(numbers) for word, numbers in found.items()}


_DEMONYMS = """
usa us america american
uk britain england british english
india indian
china chinese
japan japanese
france french
germany german
spain spanish
italy italian
russia russian
canada canadian
australia australian
mexico mexican
brazil brazilian
korea korean
pakistan pakistani
israel israeli
ireland irish
scotland scottish
turkey turkish
greece greek
poland polish
sweden swedish
netherlands dutch holland
europe european
africa african
asia asian
"""
DEMONYMS = _groups(_DEMONYMS)
"""Countries with the words for what is theirs, by group: the same name, though not the same thing."""

ALIASES = _groups(_ALIASES)
"""Names of the same thing, by group."""

_SYNONYM_GROUPS = _groups(_ALIASES.strip() + "\n" + _SYNONYMS.strip())


def are_synonyms(left: str, right: str) -> bool:
    """Whether two stems may stand for each other in most questions."""
    if left == right:
        return True
    one, other = _SYNONYM_GROUPS.get(left), _SYNONYM_GROUPS.get(right)
    return one is not None and other is not None and not one.isdisjoint(other)
