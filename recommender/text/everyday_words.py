"""What people say for how a movie feels, for its genre, for where it comes from, and for its years.

Plots do not tell that a movie is slow, or gentle, or frightening; the column `tone` of `movie_metadata.csv` does, with
up to eight words for each movie that is known. `TONES`, `GENRES` and `PLACES` (of a language) hold other words for
theirs, `SEVERAL` words for two genres at once; `SETTINGS` are patterns for places of movies in English;
`GENRE_OF_TONE` stands in where a catalogue has no tones; `LACKING` are patterns for what the data do not hold,
"kept" what is compared as text nevertheless; `ASLEEP` is one for children who do not watch.
"""

from __future__ import annotations

import re
from typing import Optional

TONES = {  # word -> other words for it
    "slow": "slow burn, slow paced, meditative, contemplative, unhurried", "fast": "fast paced, frantic",
    "tense": "suspenseful, suspense, gripping, nail-biting, edge of your seat",
    "action-packed": "lots of action, full of action", "dark": "grim, sinister, darker",
    "bleak": "depressing, hopeless, nihilistic, miserable, heavy",
    "sad": "tearjerker, tear jerker, a good cry, make me cry, heartbreaking, tragic, cry",
    "melancholy": "melancholic, wistful, bittersweet",
    "gentle": "calm, soothing, cozy, cosy, comforting, relaxing, light, lighthearted",
    "feel-good": "feelgood, heartwarming, uplifting, cheerful, happy",
    "inspiring": "inspirational, motivating, motivational, underdog",
    "funny": "hilarious, laugh, laugh out loud, funnier, humorous, humor, humour, funniest",
    "silly": "slapstick, goofy, spoof, parody, dumb, stupid, absurd",
    "deadpan": "dry humor, dry humour, dry, understated", "crude": "raunchy, gross-out, gross, vulgar, dirty jokes",
    "satirical": "satire, satires, biting",
    "black humor": "black comedy, dark comedy, dark humor, black humour, dark humour",
    "quirky": "offbeat, oddball, eccentric, unusual", "whimsical": "magical, charming, enchanting, fairy tale",
    "scary": "frightening, terrifying, scariest, good scares, jump scares, spooky",
    "creepy": "eerie, unsettling, unnerving, sense of dread", "disturbing": "shocking, harrowing, messed up",
    "violent": "violence, brutal, bloody", "gory": "gore, blood, splatter, blood and guts",
    "romantic": "love story, love stories, date night, date movie",
    "erotic": "sexy, sex, steamy, nudity, sensual, sexual, sex scenes",
    "intimate": "quiet, small scale, chamber piece, character study",
    "talky": "dialogue driven, lots of dialogue, conversations, witty",
    "wordless": "no dialogue, little dialogue, without dialogue, without words",
    "ensemble": "ensemble cast, big cast, all-star cast, intersecting stories", "epic": "sweeping, grand",
    "spectacular": "visually stunning, stunning visuals, eye candy, breathtaking",
    "stylish": "stylized, stylised, slick, cool, gorgeous", "atmospheric": "moody, atmosphere, haunting",
    "gritty": "realistic", "surreal": "dreamlike, dream like, bizarre, trippy, surrealist, psychedelic, weird, strange",
    "mind-bending": "mindbending, mindfuck, mind blowing, confusing",
    "twist": "twists, twist ending, plot twist, plot twists, surprise ending",
    "nonlinear": "non linear, out of order, told backwards",
    "thought-provoking": "thought provoking, philosophical, intelligent",
    "psychological": "psychological drama, mind games", "political": "politics",
    "true story": "true stories, true events, real events, biopic, biography", "nostalgic": "nostalgia",
    "campy": "cheesy, so bad its good, b movie", "for children": "for kids, for a child, for my daughter, for my son",
    "for families": "family movie, family film, family friendly, whole family, with my family, with my parents, "
        "with my kids",
}  # fmt: skip

GENRES = {
    "Sci-Fi": "scifi, sf", "Animation": "animated, cartoon, cartoons", "Comedy": "comedies, comedic",
    "Children": "kids, kid, childrens, for children", "Film-Noir": "noir, film noir, noirs",
    "Documentary": "documentaries, docs, doc", "Musical": "musicals, singing, songs", "Western": "westerns, cowboy",
    "Romance": "romances", "War": "war movie, war film, war movies, war films", "Mystery": "mysteries, whodunit",
    "Horror": "horrors", "Thriller": "thrillers", "Adventure": "adventures", "Drama": "dramas",
}  # fmt: skip
SEVERAL = dict.fromkeys(("romcom", "rom com", "romcoms", "romantic comedy", "romantic comedies"), ("Romance", "Comedy"))
GENRE_OF_TONE = {"funny": "Comedy", "scary": "Horror", "for children": "Children", "for families": "Children"}
GENRE_OF_TONE.update({"romantic": "Romance", "silly": "Comedy", "tense": "Thriller"})
WITH_GENRE = {"funny"}  # the genre counts beside the tone
PLACES = {
    "fr": "france", "it": "italy", "de": "germany", "es": "spain, mexican, argentinian", "ja": "japan, anime",
    "ko": "korea, south korean", "zh": "china, mandarin, taiwanese, hong kong", "cn": "hong kong, chinese",
    "hi": "india, bollywood", "ru": "russia, soviet", "sv": "sweden, scandinavian, nordic", "pt": "brazilian, brazil",
    "da": "scandinavian, nordic", "no": "scandinavian, nordic", "fa": "iran", "pl": "poland",
    "en": "in english, american, hollywood",
}  # fmt: skip
ALSO = {  # who refuses one refuses these too, if they are not asked for
    "violent": ("gory",), "sad": ("bleak",), "romantic": ("romance",), "Romance": ("romantic",),
    "scary": ("horror",), "for children": ("children",),
}  # fmt: skip
SETTINGS = {  # places of movies in English, known by what they tell
    "british": "british|britain|england|london|scotland|scottish|yorkshire", "irish": "irish|ireland|dublin",
    "australian": "australian?|sydney|outback|melbourne",
}  # fmt: skip
_END = r"(?= (?:but|and|or|only|with|without|not|no)\b| ?[,;.!?]| ?$)"
_PLACE = "the (?:first|second|third|fourth|fifth|last|previous|other)"
_NUMBER = "an?|one|two|three|four|sixty|seventy|eighty|ninety|(?:a |one )?hundred"
LACKING = {
    rf"\b(?:(?:under|less than|at most|over|about|around|only|shorter than|longer than) )?(?P<title>(?:\d+|{_NUMBER})"
    r"(?: and (?:a half|twenty|thirty))? ?(?:hours?|hrs?|minutes?|mins?)\b)(?: long)?"
    r"|\b(?:not|neither|nor) (?:too|so|very) (?:long|short)\b|\bshort (?:movie|film)s?\b"
    rf"|(?<!\bno )(?<!\bany )(?<!\bmuch )\b(?:too (?:long|short)|shorter|longer)(?: (?:ones?|movies?|films?))?{_END}":
        "running times are not in the data",
    r"\b(?:wom[ae]n|female|lady) (?:film ?makers?|directors?)\b|\bdirected by (?:a )?wom[ae]n\b":
        "which directors are women is not in the data",
    r"\bon (?:netflix|hulu|disney plus|amazon prime|hbo max|hbo|prime video)\b|\bstreaming\b":
        "where a movie can be seen is not in the data",
    r"\b(?:won|wins?|winning|winner of) (?:an? |the )?(?:oscars?|academy awards?|awards?)\b(?: for best \w+)?"
    r"|\b(?:oscar|award) winn(?:ing|ers?)\b|\bbest picture\b": "which movies won awards is not in the data",
    rf"\b(?:like|than) (?P<title>(?:{_PLACE}|this|that)(?: (?:one|movie|film))?|these|those){_END}"
    rf"|^ ?{_PLACE} one{_END}":
        "which movie that is, is not known here",
    r"^ ?(?:something|anything|one)? ?(?:completely |totally |very )?(?:else|different)$":
        "what it should be like is not said",
    r"\b(?:but )?in (?P<kept>colou?r)\b": "which movies are in color is not in the data",
    r"\bpg ?13\b|\bpg rated\b|\br rated\b|\brated (?:r|pg)\b": "age ratings are not in the data",
}  # fmt: skip
ASLEEP = re.compile(
    r"\b(?:(?:after|when|once|while|now) )?(?:(?:the|my|our) )?(?:kids?|children|child|son|daughter|little ones?)"
    r" (?:is|are|has|have)(?: all)? (?:asleep|sleeping|in bed|gone to bed)\b,?"
)

EVER = (1, 9999)
NAMES = ("twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties", "noughties")
_PARTS = {"early": (0, 4), "mid": (3, 6), "late": (5, 9)}  # of a decade
_YEAR = rf"(?:the )?(?:(early|mid|late) )?(?:the )?((?:18[89]|19\d|20\d)\d|(?:19|20)?\d0s|{'|'.join(NAMES)})\b"
_FIRST = re.compile(
    r"(?:(?P<before>before|pre|older than|earlier than|prior to)|(?P<until>until|till|up to|no later than)|"
    rf"(?P<since>since|post|starting|no older than)|(?P<after>after|newer than|later than)|between|from)? ?{_YEAR}"
)
_LAST = re.compile(rf" (?:to |and |until |till |through )?{_YEAR}")
_RECENT = re.compile(
    r"(?:(?:from|in|of|within) )?the (?:last|past) (?:(\d\d?|two|three|five|ten|twenty|few) years|decade)\b"
)
_COUNTS = {"two": 2, "three": 3, "few": 3, "five": 5, "ten": 10, "twenty": 20, None: 10}
_ON = re.compile(r" (?:on|onwards?|(?:and|or) (?:later|newer))\b")


def read_years(text: str, newest: int = 0) -> tuple[int, int, int]:
    """Return how many words at the beginning of `text` say years, 0 for none, and the first and last year meant.

    text: in lower case, words with single spaces between.  newest: the year from which "the last ten years" count.

    >>> read_years("between 1980 and 1985 or so"), read_years("before the late 60s"), read_years("after dark")
    ((4, 1980, 1985), (4, 1, 1964), (0, 1, 9999))
    """
    if newest and (recent := _RECENT.match(text)):
        count = recent.group(1)
        return len(recent.group().split()), newest + 1 - (_COUNTS.get(count) or int(count)), EVER[1]
    said = _FIRST.match(text)
    if said is None or text.startswith(" "):
        return 0, *EVER
    first, last = _span(*said.groups()[-2:])
    end = said.end()
    on, second = _ON.match(text, end), _LAST.match(text, end)
    if said["before"]:
        first, last = EVER[0], first - 1
    elif said["until"]:
        first = EVER[0]
    elif said["after"]:
        first, last = last + 1, EVER[1]
    elif on or said["since"]:
        last, end = EVER[1], on.end() if on else end
    elif second and _span(*second.groups())[1] > last:
        last, end = _span(*second.groups())[1], second.end()
    return len(text[:end].split()), first, last


def _span(part: Optional[str], year: str) -> tuple[int, int]:
    if year.isdigit():
        return int(year), int(year)
    digits = re.sub("s$", "", year)
    first = int(digits) if digits.isdigit() else 1920 + 10 * NAMES.index(year)
    if first < 100:
        first += 2000 if first < 20 else 1900
    low, high = _PARTS.get(part or "", (0, 9))
    return first + low, first + high
