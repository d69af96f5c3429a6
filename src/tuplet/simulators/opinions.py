"""Opinions as text, voice and picture: sentences and emoji that people judged, synthetic speech, constructed pairing.

Stands for the structure of CMU-MOSEI (``"mosei"``) or of MUStARD (``"mustard"``). Root is a folder in which these are unpacked:
the npm packages sentiment 5.0.2 (sentences with human labels, the word list AFINN, the Emoji Sentiment Ranking) and openmoji
(pictures), by ``npm pack`` and ``tar xzf``; ``pip install espeakng-loader resvg-py`` installs what speaks and draws. Convert
once: ``tuplet data convert opinions --root DIR --out opinions.safetensors``; the file loads without any of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, Split, from_columns, split_rows
from tuplet.data._cache import cache_folder
from tuplet.data._lazy import Lazy
from tuplet.data.splits import PARTS
from tuplet.datasets._files import padded
from tuplet.datasets._reader import Content, Needed, Reader, checksum, opened
from tuplet.simulators.opinion_parts import SITES, WORDS, emoji, sentences, spoken
from tuplet.types import InputError, in_range, one_of

FILE = "opinions.safetensors"
BUCKETS = 1024
"""Places of the bag of words."""
LETTERS = 29
"""Numbers of a word's vector that its hash gives."""
COLUMNS: Needed = {
    "input.audio": ("f", (2, 64, 32)),
    "input.vision": ("u", (3, 32, 32)),
    "words": ("i", (WORDS,)),
    "valence": ("i", (WORDS,)),
    "negation": ("i", (WORDS,)),
    "polarity": ("i", ()),
    "site": ("i", ()),
    "voice": ("i", ()),
    "counts": ("i", (3,)),
}
ABOUT = {
    "name": "opinions",
    "title": "Opinions: judged sentences, synthetic speech, emoji (stands for MOSEI and MUStARD)",
    "citation": (
        "D. Kotzias, M. Denil, N. de Freitas, P. Smyth, From group to individual labels using deep features, KDD 2015; "
        "P. Kralj Novak, J. Smailović, B. Sluban, I. Mozetič, Sentiment of emojis, PLoS ONE 10(12), 2015; "
        "F. Å. Nielsen, A new ANEW, 2011 (AFINN); OpenMoji"
    ),
    "licence": (
        "sentences CC BY 4.0; emoji counts CC BY-SA 4.0; OpenMoji CC BY-SA 4.0; AFINN ODbL; the npm package sentiment is MIT; "
        "speech is made by eSpeak NG (GPL-3.0-or-later, the program)"
    ),
    "unit.audio": "log-mel power, scaled per clip",
    "unit.vision": "red, green, blue, 0 to 1",
    "unit.text": "hashed words and AFINN's valence",
}
Structure = Literal["mosei", "mustard"]


def read(root: Path) -> Content:
    """Read sentences and emoji, draw the emoji and say the sentences."""
    said = sentences(root)
    pictures, counts = emoji(root)
    audio, voice = spoken(said.text)
    columns: dict[str, NDArray[Any]] = {
        "input.audio": audio,
        "input.vision": pictures,
        "words": said.words,
        "valence": said.valence,
        "negation": said.negation,
        "polarity": said.polarity.astype(np.int8),
        "site": said.site.astype(np.int8),
        "voice": voice.astype(np.int16),
        "counts": counts,
    }
    return Content(dict(padded(columns, gaps=("polarity", "site", "voice", "counts"))), ABOUT)


def find(root: Path | None) -> Path:
    """Find the data."""
    if root is not None:
        return root
    file = cache_folder() / FILE
    if not file.is_file():
        raise InputError(f"{file} does not exist; tuplet data convert opinions --root DIR --out {file}")
    return file


def load(
    root: str | Path | None = None,
    *,
    structure: Structure = "mosei",
    text: Literal["bag", "sequence"] = "bag",
    clear: float = 0.0,
    draws: int = 2,
    split: Literal["sentence", "voice"] = "sentence",
    seed: int = 0,
) -> Source:
    """Pair every sentence with its voice and with an emoji, so that all agree, or so that only the contradiction tells.

    Args:
        root: as `find`. A folder is read, drawn and spoken anew, which takes a minute; a converted file opens at once.
        structure: ``"mosei"``: the label is the sentence's human polarity, and voice and emoji are drawn for the same
            polarity; ``"mustard"``: voice and emoji are drawn for another polarity, independent of the sentence's, and the
            label is whether the two contradict each other (exclusive or).
        text: ``"bag"``: 1,024 hashed counts of words, of length 1, and five sums over AFINN's numbers; ``"sequence"``: 40 words
            of 32 numbers, padded with zeros: AFINN's, whether it negates, AFINN's with the sign turned after a negation,
            29 signs of the word's hash.
        clear: emoji only whose polarity people agree on: the difference of the two chances of the polarity given the emoji,
            0 (all) .. 1; 0.3 leaves about 420.
        draws: rows per sentence, each with its own emoji; even for ``"mustard"``, where half of them have either polarity.
        split: ``"voice"`` keeps the voices of the three parts apart; ``"sentence"`` only the sentences.
        seed: of the split and of the emoji.

    Returns:
        Modalities ``audio`` (64, 32), ``text`` (1029) or (40, 32), ``vision`` (3, 32, 32); targets ``label``, ``said`` (the
        sentence's polarity) and ``shown`` (that of voice and emoji); group = sentence, so that rows of one sentence are in
        one part and not negatives of each other.

    Raises:
        InputError: as `read`, or for an option out of range.

    Notes:
        Real: sentences with their labels, and how people judged tweets with each emoji. Synthetic: the voice. Modelled, by us:
        that a good opinion is spoken a little higher, faster and more lively. Constructed: which emoji goes with which
        sentence, and the label of ``"mustard"``. Emoji recur in all parts, as words do. The voice says the words as well, so
        that of ``"mustard"`` it holds both sides of the contradiction for a listener who understands it. No number here
        compares with MOSEI's or MUStARD's.

    Source:
        The structures: Zadeh et al., ACL 2018; Castro et al., ACL 2019.

    Example:
        >>> load(Path("nowhere"))
        Traceback (most recent call last):
        tuplet.types.InputError: root nowhere has no amazon.json; unpack the npm package sentiment 5.0.2 there
    """
    root = None if root is None else Path(root)
    one_of("structure", structure, get_args(Structure))
    one_of("text", text, ("bag", "sequence"))
    one_of("split", split, ("sentence", "voice"))
    in_range("clear", clear, 0, 1)
    in_range("draws", draws, 1, 1000)
    in_range("seed", seed, 0)
    if structure == "mustard" and draws % 2:
        raise InputError(f"draws is {draws}, expected an even number for 'mustard', where half have either polarity")
    where = find(root)
    made = opened(where, ABOUT, COLUMNS, read).columns
    polarity, voice, known = _checked(where, made)
    shares = np.where(abs(known[1] - known[0]) >= clear * known.sum(axis=0), known, 0)
    if not shares.any(axis=1).all():
        raise InputError(f"clear is {clear}, and no emoji of both polarities is left; give a smaller number")
    n = len(polarity)
    sentence = np.repeat(np.arange(n), draws)
    said = polarity[sentence]
    shown = said if structure == "mosei" else np.tile(np.arange(draws) % 2, n)
    rng = np.random.default_rng([seed, 1])
    edges = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)
    chance = rng.random(len(sentence)) * edges[shown, -1]
    face = np.array([np.searchsorted(edges[q], c, side="right") for q, c in zip(shown, chance, strict=True)])
    parts = split_rows(n, labels=polarity, group=voice if split == "voice" else None, seed=seed)
    rows = [np.flatnonzero(np.isin(sentence, getattr(parts, part))) for part in PARTS]
    words = (_bag if text == "bag" else _sequence)(*(made[k][:n] for k in ("words", "valence", "negation")))
    audio, vision = made["input.audio"], made["input.vision"]
    content = Content(made, ABOUT, checksum(*(made[k] for k in sorted(COLUMNS))))
    return from_columns(
        {
            "audio": Lazy((len(said), 64, 32), lambda i: np.asarray(audio[sentence[i], shown[i]], np.float32)),
            "text": Lazy((len(said), *words.shape[1:]), lambda i: words[sentence[i]]),
            "vision": Lazy((len(said), 3, 32, 32), lambda i: np.asarray(vision[face[i]]), np.dtype(np.uint8)),
        },
        checksum=f"{content.checksum} {text} {checksum(sentence, shown, face)}",
        targets={"label": said ^ shown if structure == "mustard" else said, "said": said, "shown": shown},
        classes={
            "label": ("agrees", "contradicts") if structure == "mustard" else ("negative", "positive"),
            "said": ("negative", "positive"),
            "shown": ("negative", "positive"),
        },
        group=sentence,
        split=Split(rows[0], rows[1], rows[2], seed),
        scaling={"text": "none"},
        units=content.units(("audio", "text", "vision")),
        name="opinions",
        provenance=content.provenance(where),
    )


def _checked(where: Path, made: dict[str, NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return polarity and voice of the sentences, and the chances of the emoji under both polarities."""
    polarity, voice, counts = (np.asarray(made[k]).astype(np.int64) for k in ("polarity", "voice", "counts"))
    n, e = (int((v >= 0).sum()) for v in (polarity, counts[:, 0]))
    whole = (polarity[:n] >= 0).all() and (counts[:e] >= 0).all() and np.isin(polarity[:n], (0, 1)).all()
    if not whole or counts.max() > 10**6 or not (counts[:e, 0].any() and counts[:e, 2].any()) or voice[:n].min() < 0:
        raise InputError(f"root {where} has a polarity, a voice or counts out of range; convert it again")
    return polarity[:n], voice[:n], _known(counts[:e])


def _known(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the chance of every emoji given a negative and a positive tweet, ``(2, E)``."""
    votes = counts[:, [0, 2]].astype(np.float64).T
    return np.asarray(votes / votes.sum(axis=1, keepdims=True))


def _turned(valence: NDArray[np.int8], negation: NDArray[np.int8]) -> NDArray[np.float64]:
    """Turn the sign of the words behind a negation, up to the third."""
    turned = valence.astype(np.float64)
    behind = np.zeros(negation.shape, dtype=bool)
    for step in (1, 2, 3):
        behind[:, step:] |= negation[:, :-step] != 0
    return np.where(behind, -turned, turned)


def _bag(words: NDArray[np.int32], valence: NDArray[np.int8], negation: NDArray[np.int8]) -> NDArray[np.float32]:
    bag = np.zeros((len(words), BUCKETS))
    row = np.broadcast_to(np.arange(len(words))[:, None], words.shape)
    np.add.at(bag, (row, words % BUCKETS), np.where(words > 0, 1 - 2 * ((words >> 20) & 1), 0))
    bag /= np.maximum(np.linalg.norm(bag, axis=1, keepdims=True), 1)
    turned = _turned(valence, negation) / 5
    sums = [valence.astype(np.float64) / 5, valence > 0, valence < 0, negation, turned]
    return np.concatenate([bag, np.stack([v.sum(axis=1) for v in sums], axis=1)], axis=1).astype(np.float32)


def _sequence(words: NDArray[np.int32], valence: NDArray[np.int8], negation: NDArray[np.int8]) -> NDArray[np.float32]:
    signs = 1 - 2.0 * ((words[..., None] >> np.arange(LETTERS)) & 1)
    numbers = np.stack([valence / 5, negation.astype(np.float64), _turned(valence, negation) / 5], axis=2)
    both = np.concatenate([numbers, signs / LETTERS**0.5], axis=2)
    return (both * (words > 0)[..., None]).astype(np.float32)


def _report(root: Path) -> list[str]:
    made = read(root).columns
    polarity, counts = made["polarity"], made["counts"][made["counts"][:, 0] >= 0]
    known = _known(counts)
    return [
        *(f"{site}: {int((made['site'] == i).sum())} different sentences" for i, site in enumerate(SITES)),
        f"negative {int((polarity == 0).sum())}, positive {int((polarity == 1).sum())}",
        f"emoji with a picture and five tweets or more: {len(counts)}; one drawn from the counts tells the polarity in "
        f"{100 * known.max(axis=0).sum() / 2:.1f} % of cases at best",
        f"speech: {int((polarity >= 0).sum())} sentences in two ways, {len(np.unique(made['voice'][polarity >= 0]))} voices",
    ]


READER = Reader(load, read, _report, __doc__)
