"""What a space is worth to a decoder: pictures from pictures, from words and from both, beside a ceiling and a floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from tuplet.data import Source
from tuplet.diagnose import modality_auc, paired_distance, relative_gap
from tuplet.evaluate import Result, embed
from tuplet.evaluate.generated import diversity, fid, kid, mmd
from tuplet.evaluate.predictor import Examples, PredictorConfig, fit_predictor
from tuplet.evaluate.scoreboard import scorers
from tuplet.functional.rows import unit
from tuplet.generate import Decoder, DecoderConfig, between, fit_decoder
from tuplet.model import AlignmentModel
from tuplet.study.suite import ByKind, Objective, Task
from tuplet.types import Embeddings

GUIDANCE = (1.0, 2.0)
COPIED = "generate/nearest training picture"
EXTRACTOR, EPOCHS = "emoji-cnn", 20
"""The small classifier of real pictures, and passes that it is trained for at most."""


@dataclass(frozen=True)
class Generating(ByKind):
    """Probes and retrieval, then scorers, gaps, and pictures."""

    words: str = "english"  # modality that asks
    drawn: tuple[str, ...] = ("noto", "fluent", "twemoji")  # styles of the decoder; samples are compared with the first
    steps: int = 0  # of training the network of the decoder; 0: its closed form draws
    count: int = 96  # pictures per row of the table
    euler: int = 10  # steps of the sampler

    def measure(
        self, model: AlignmentModel, objective: Objective | None, source: Source, task: Task, seed: int
    ) -> list[Result]:
        """Measure a space."""
        train, test = embed(model, source.train), embed(model, source.test)
        first, last = self.drawn[0], self.drawn[-1]
        asked = {"words": (self.words, (first, last)), "a picture": (first, (last, self.words))}
        return [
            *super().measure(model, objective, source, task, seed),
            *(
                replace(r, detail=f"{r.detail}, {name}")
                for name, (query, answers) in asked.items()
                for r in scorers(test, query, answers)
            ),
            Result("space/relative_gap", relative_gap(test), higher=False),
            Result("space/modality_auc", modality_auc(test), higher=False),
            Result("space/paired_distance", paired_distance(test), higher=False),
            *(self._generated(model, source, train, test, task, seed) if self.count else ()),
        ]

    def _generated(
        self, model: AlignmentModel, source: Source, train: Embeddings, test: Embeddings, task: Task, seed: int
    ) -> list[Result]:
        decoder = self.decoder(source, train, seed)
        judge = Judge.of(source, self.drawn, task.target)
        first, second = self.drawn[0], self.drawn[-1]
        found, known = [], source.train[:].inputs[first][train.present[first]]
        for part, rows, emb in (("seen", source.train, train), ("unseen", source.test, test)):
            there = torch.stack([emb.present[k] for k in (self.words, first, second)]).all(dim=0).nonzero().squeeze(1)
            there = there[torch.randperm(len(there), generator=torch.Generator().manual_seed(seed))]
            chosen, rest = there[: self.count], there[self.count : 2 * self.count]
            pictures = rows[:].inputs[first]
            y, z = emb.target[task.target][chosen], {k: unit(v[chosen]) for k, v in emb.z.items()}
            real, other = pictures[chosen], pictures[rest]
            if part == "unseen" and len(rest) >= 4:
                found += judge.compared(other, real, f"real, {part}", y)
                found.append(Result(COPIED, nearest(real, known), f"real, {part}", pool=len(real)))
            asked = {
                "picture (ceiling)": z[first],
                "words": z[self.words],
                "words and another artist": between(z[self.words], z[second]),
            }
            for name, condition in asked.items():
                for guidance in GUIDANCE:
                    made = decoder.sample(condition, guidance=guidance, steps=self.euler, seed=seed)
                    detail = f"{name}, {part}, guidance {guidance:g}"
                    found += judge.compared(real, made, detail, y)
                    found.append(Result(COPIED, nearest(made, known), detail, pool=len(made)))
                    found += _again(model, first, made, condition, z[self.words], detail)
        return found

    def decoder(self, source: Source, train: Embeddings, seed: int) -> Decoder:
        """Train a decoder on the pictures of the training rows and their own vectors."""
        rows = source.train[:]
        concept = torch.arange(len(train)) if source.train.group is None else source.train.group
        parts = [(train.z[k][p], rows.inputs[k][p], concept[p]) for k in self.drawn for p in (train.present[k],)]
        style = torch.cat([torch.full((len(z),), i) for i, (z, *_) in enumerate(parts)])
        z, pictures, group = (torch.cat(x) for x in zip(*parts, strict=True))
        torch.manual_seed(seed)
        decoder = Decoder(z.shape[1], side=pictures.shape[-1], styles=len(self.drawn))
        fit_decoder(decoder, z, pictures, style, group=group, config=DecoderConfig(steps=self.steps, seed=seed))
        return decoder


def nearest(made: Tensor, known: Tensor) -> float:
    """Return the mean distance to the nearest known picture: root mean square over pixels, 0 for copies."""
    far = torch.cdist(made.flatten(1), known.flatten(1)).amin(dim=1)  # (B,)
    return float(far.mean() / made[0].numel() ** 0.5)


def _again(model: AlignmentModel, drawn: str, made: Tensor, condition: Tensor, words: Tensor, detail: str) -> list[Result]:
    """Put samples back into the space: are they near what was asked, and is it found again among the words of all?"""
    with torch.no_grad():
        z = unit(model.projections[drawn](model.encoders[drawn](made)))
    right = (z @ words.mT).argmax(dim=1) == torch.arange(len(z))
    return [
        Result("generate/found again", float(right.float().mean()), detail, True, 1 / len(z), len(z)),
        Result("generate/cosine to condition", float((z * condition).sum(dim=1).mean()), detail),
    ]


@dataclass(frozen=True)
class Judge:
    """A small network that knows the classes of real pictures, and whose features distances are taken in."""

    net: nn.Sequential

    @classmethod
    @lru_cache(maxsize=2)
    def of(cls, source: Source, drawn: Sequence[str], target: str) -> Judge:
        """Train it on real pictures of the training rows; validation rows choose the epoch."""
        parts = []
        for rows in (source.train, source.val):
            batch = rows[:]
            here = [batch.present[k] & (batch.target[target] >= 0) for k in drawn]
            x = torch.cat([batch.inputs[k][p] for k, p in zip(drawn, here, strict=True)])
            parts.append(Examples(x.__getitem__, torch.cat([batch.target[target][p] for p in here])))
        classes = source.targets[target].size

        def build() -> nn.Module:
            layers: list[nn.Module] = []
            for i, width in enumerate((32, 48, 64)):
                layers += [nn.Conv2d((3, 32, 48)[i], width, 3, 2, 1), nn.GELU()]
            head = nn.Linear(256, 48), nn.GELU(), nn.Linear(48, classes)
            return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), *head)

        net = fit_predictor(build, *parts, config=PredictorConfig(epochs=EPOCHS, patience=4)).net
        assert isinstance(net, nn.Sequential)
        return cls(net.eval())

    @torch.no_grad()
    def compared(self, real: Tensor, fake: Tensor, detail: str, y: Tensor) -> list[Result]:
        """Compare generated pictures with real ones, and their classes with those that were asked."""
        a, b = self.net[:-1](real), self.net[:-1](fake)
        value, error = kid(a, b)
        right = self.net(fake).argmax(dim=1) == y[: len(fake)]
        found = [
            Result("generate/kid", value, detail, False, 0.0, len(fake)),
            Result("generate/kid error", error, detail, False, pool=len(fake)),
            Result("generate/mmd", mmd(a, b), detail, False, 0.0, len(fake)),
            Result("generate/class", float(right.float().mean()), detail, pool=len(fake)),
            Result("generate/diversity", diversity(b), detail, pool=len(fake)),
        ]
        if min(len(a), len(b)) > a.shape[1]:
            name, far = fid(a, b, extractor=EXTRACTOR)
            found.append(Result(f"generate/{name}", far, detail, False, pool=len(fake)))
        return found
