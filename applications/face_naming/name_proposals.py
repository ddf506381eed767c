"""Names proposed from the text of a caption, for a person to correct."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["propose_names"]


def propose_names(caption: str) -> tuple[str, ...]:
    """The runs of capitalised words in a caption, as candidates for the names of people.

    The rule:

    1. A name is a run of words that begin with a capital letter, with nothing but spaces between them.
       Hyphens, apostrophes and initials belong to words ("Jean-Pierre", "O'Brien", "W."), lower-case
       particles to a run that goes on after them ("Charles de Gaulle", "Bashar al-Assad", "bin", "van der").
    2. Titles and professions before a name are taken off, with what stands before them ("French President
       Jacques Chirac", "Sen. John Kerry"); so is a common word at the start of a sentence ("While", "Two").
    3. What is left is no name if it ends in a title ("U.S. President"), is a single common word, month or
       weekday, or has initials only.
    4. A word in capitals alone is an abbreviation and ends a run ("NASA"), unless it is a numeral after a
       name ("John Paul II").
    5. One word that is the last word of a longer name of the caption is the same person ("Bush" after
       "George W. Bush").

    It knows no names. Places, firms, works and the photographer come through ("Paris", "Labour Party") and
    are for the user to delete; so do capitalised words of other kinds, as in German. Captions all in capitals
    and scripts without capital letters give nothing. "Tom and Ann Miller" gives "Tom" and "Ann Miller".

    Args:
        caption: any text.

    Returns:
        Distinct names in the order of the text.

    Raises:
        TypeError: if the caption is not a string.

    Example:

    >>> from applications.face_naming.name_proposals import propose_names
    >>> propose_names("President George W. Bush, left, greets Dr. Ursula von der Leyen. Bush smiled.")
    ('George W. Bush', 'Ursula von der Leyen')
    """
    if not isinstance(caption, str):
        raise TypeError(f"caption must be a string, got {type(caption).__name__}.")
    names = [name for run in _runs(unicodedata.normalize("NFC", caption)) if (name := _name(*run))]
    longer = {name.rpartition(" ")[2] for name in names if " " in name}
    return tuple(dict.fromkeys(name for name in names if name not in longer))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PARTICLES = _words(
    "abu af al ap av ben bin bint da das de dei del della den der di do dos du el ibn la le ten ter van vom "
    "von zu zur"
)
_TITLES = _words(  # anywhere before a name
    "Actor Actress Admiral Ambassador Archbishop Astronaut Author Ayatollah Cardinal Chairman Chairwoman "
    "Champion Chancellor Coach Colonel Commissioner Congressman Congresswoman Councillor Detective Director "
    "Doctor Emperor Empress Former General Goalkeeper Governor Imam Inspector Lawyer Lieutenant Midfielder "
    "Minister Miss Mister Musician Officer Photographer Player Premier President Prime Princess Producer "
    "Professor Representative Reverend Secretary Senator Sergeant Sheikh Sir Speaker Spokesman "
    "Spokeswoman State Striker Sultan Supreme Vice Writer Dr Mr Mrs Ms "
    "Secretary-General Vice-President "
    "Adm. Amb. Capt. Cmdr. Col. Dr. Gen. Gov. Hon. Lt. Maj. Mr. Mrs. Ms. Prof. Rep. Rev. Sen. Sgt."
)
_TITLES_OR_SURNAMES = _words(  # at the start of a run only, where another word follows
    "Baron Bishop Captain Count Dame Deputy Duke Earl Judge Justice King Lady Lord Major Mayor Pope Prince "
    "Queen Rabbi Saint Singer"
)
_COMMON = _words(  # at the start of a sentence
    "A About Above After Against All Along Also Although Among An And Another Any Around As At Back Because "
    "Before Behind Below Beside Between Both But By Clockwise Despite During Each Earlier Eight Every Few "
    "File Files Five For Four From Front Has He Her Here His How However I If In Inside Into Is It Its Just "
    "Last Later Left Like Many Meanwhile More Most My Near New Nine No Not Now Of Off On Once One Only Or "
    "Other Our Out Outside Over People Photo Photos Picture Pictured Right Seen Seven Several She Shown "
    "Since Six Some Standing Such Ten Than That The Their Then There These They This Those Three Through To "
    "Today Together Tomorrow Two Under Until Up Upon Was We Were What When Where Which While Who Why With "
    "Within Without Yesterday You Your"
)
_DATES = _words(
    "January February March April May June July August September October November December Jan. Feb. Mar. "
    "Apr. Aug. Sept. Oct. Nov. Dec. Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
)
_ABBREVIATIONS = {word for word in _TITLES | _DATES if word.endswith(".")} | {"Jr.", "Sr.", "St."}

_LETTER = r"[^\W\d_]"
_APOSTROPHE = "'\u2019\u02bc"
_JOINT = rf"[-\u2010{_APOSTROPHE}]"
_TOKEN = re.compile(
    rf"(?P<initials>(?<!\w)(?:{_LETTER}\.-?)+)"
    rf"|(?P<word>{_LETTER}+(?:{_JOINT}{_LETTER}+)*)"
    r"|(?P<end>[.!?:;\n\"“”«»()\[\]])|(?P<other>\S)"
)
_PREFIX = re.compile(rf"(?:al|el|an|ar|as|ash|at|ad|az|ul|ur|d|l|dell){_JOINT}(?=\w)")
_POSSESSIVE = re.compile(rf"[{_APOSTROPHE}]s$")
_NUMERAL = re.compile(r"(?=[IVX])X{0,2}(?:IX|IV|V?I{0,3})$")


def _runs(caption: str) -> list[tuple[list[str], bool]]:
    """Runs of capitalised words, with whether each begins a sentence."""
    runs: list[tuple[list[str], bool]] = []
    run: list[str] = []
    particles: list[str] = []
    starts, run_starts = True, True

    def close() -> None:
        nonlocal run
        if run:
            runs.append((run, run_starts))
        run = []
        particles.clear()

    for kind, token in _tokens(caption):
        word = _POSSESSIVE.sub("", token)
        if kind in ("word", "initials") and _is_capitalised(word, bool(run)):
            if not run:
                run_starts = starts
            run += [*particles, word]
            particles.clear()
            if word != token:
                close()
        elif kind == "word" and token in _PARTICLES and run:
            particles.append(token)
        else:
            close()
        starts = kind == "end"
    close()
    return runs


def _tokens(caption: str) -> list[tuple[str, str]]:
    """Kinds and texts of words, initials and marks; an abbreviation takes its dot along."""
    tokens: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(caption):
        kind, text = match.lastgroup, match.group()
        touches = match.start() > 0 and not caption[match.start() - 1].isspace()
        if text == "." and touches and tokens and tokens[-1][1] + "." in _ABBREVIATIONS:
            tokens[-1] = ("word", tokens[-1][1] + ".")
        else:
            tokens.append((kind, text))
    return tokens


def _is_capitalised(word: str, within: bool) -> bool:
    """Whether a word may be part of a name; `within` a run, numerals may."""
    bare = _PREFIX.sub("", word, count=1)
    if not bare[0].isupper() and not bare[0].istitle():
        return False
    if sum(map(str.isalpha, bare)) > 1 and "." not in bare and bare.isupper():
        return within and _NUMERAL.match(bare) is not None
    return True


def _name(run: list[str], starts: bool) -> str:
    """The name in a run, or an empty string."""
    while starts and run and run[0] in _COMMON:
        run = run[1:]
    titles = [place for place, word in enumerate(run[:-1]) if word in _TITLES]
    run = run[titles[-1] + 1 :] if titles else run
    while len(run) > 1 and run[0] in _TITLES_OR_SURNAMES | _PARTICLES:
        run = run[1:]
    if run and run[-1] in _TITLES:
        return ""
    if len(run) == 1 and run[0] in _TITLES_OR_SURNAMES | _COMMON | _DATES | _ABBREVIATIONS:
        return ""
    if not any(len(word) > 1 and "." not in word for word in run):
        return ""
    return " ".join(run)
