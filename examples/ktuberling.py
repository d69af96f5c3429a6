"""The words of a children's game, said in twelve languages: one modality per language, most words recorded in six of them.

apt-get download ktuberling-data && dpkg-deb -x ktuberling-data_*.deb . && python examples/ktuberling.py usr/share/ktuberling
tuplet data info words.npz
tuplet bench words.npz
"""

import re
import sys
from pathlib import Path

import numpy as np

from tuplet.data import Sounds
from tuplet.simulators.sound import clip_features

LANGUAGES = ("ca", "da", "de", "el", "en", "gl", "lt", "nn", "ru", "sl", "uk", "wa")
SOUND = re.compile(r'<sound name="([^"]+)" file="([^"]+)"')

sounds = Path(sys.argv[1] if sys.argv[1:] else "/usr/share/ktuberling") / "sounds"
said = {
    k: {word: sounds / file for word, file in SOUND.findall((sounds / f"{k}.soundtheme").read_text(errors="replace"))}
    for k in LANGUAGES
}
words = sorted({word for files in said.values() for word, file in files.items() if file.exists()})
columns = {k: np.full((len(words), 48, 32), np.nan, np.float32) for k in LANGUAGES}  # a row of NaN is a missing row
for k, files in said.items():
    for i, word in enumerate(words):
        if word in files and files[word].exists():
            sound = Sounds([files[word]], steps=480_000)
            columns[k][i] = clip_features(sound[[0]][0].mean(axis=0), rate=int(sound.rate))
np.savez_compressed("words.npz", id=np.array(words), **columns)
print(f"{len(words)} words in {len(LANGUAGES)} languages -> words.npz (ktuberling, GPL-2+)")
