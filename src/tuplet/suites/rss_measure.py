"""What a touch model is measured by: linear probes, the sensor that features give away, transfer, prompts and retrieval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuplet.data import Rows, Source
from tuplet.data.source import Part
from tuplet.evaluate import linear_probe, retrieve, standardise_by
from tuplet.model import AlignmentModel
from tuplet.nets.towers import ClipTower
from tuplet.types import Embeddings, evaluating

PAIRS = (("touch", "text"), ("text", "touch"), ("touch", "vision"), ("vision", "touch"))


@dataclass(frozen=True)
class Number:
    """One measured number; ``items`` are the outcomes of single test rows."""

    metric: str
    detail: str
    value: float
    chance: float | None = None
    pool: int = 0
    items: tuple[float, ...] = ()


@dataclass(frozen=True)
class Head:
    """How the linear head of a probe is trained; the defaults are the published ones for Touch and Go."""

    epochs: int = 50
    batch_size: int = 64
    lr: float = 2e-4
    weight_decay: float = 0.05


@dataclass(frozen=True)
class Probed:
    """A set on which heads are trained."""

    name: str
    source: Source
    targets: tuple[str, ...]
    sensor: int | None = None  # whose rows count; None: all
    modalities: tuple[str, ...] = ("touch",)  # whose features are put side by side, all through one tower
    head: Head | None = None  # how its heads are trained; None: as those of the other sets
    relevance: Literal["instance", "group"] = "instance"  # what a search has to find: the same row, or one of its group


@runtime_checkable
class World(Protocol):
    """Where towers, training sets and probe sets come from."""

    @property
    def corpora(self) -> Mapping[str, tuple[str, ...]]:
        """Return training set -> its sensors."""
        ...

    @property
    def main(self) -> str:
        """Return the training set of most tables: that of several sensors."""
        ...

    @property
    def probed(self) -> Mapping[str, str]:
        """Return probe set -> its sensor."""
        ...

    def make_base(self, folder: Path) -> Number:
        """Make or check the towers that every method begins with; return what they reach."""
        ...

    def towers(self, folder: Path) -> dict[str, ClipTower]:
        """Return those towers: text, touch and vision."""
        ...

    def corpus(self, name: str, seed: int) -> Source:
        """Return a training set."""
        ...

    def probes(self, seed: int) -> list[Probed]:
        """Return the touch sets that heads are trained on; the vision tower is tried on the first."""
        ...

    def pictures(self, seed: int) -> list[Probed]:
        """Return the sets of plain pictures that the touch tower is tried on."""
        ...

    def across(self, seed: int) -> Probed:
        """Return a set of several sensors, if there is one, for what they share: transfer and search."""
        ...

    def prompted(self, seed: int) -> list[Probed]:
        """Return the sets whose classes prompts name."""
        ...

    def prompts(self, target: str) -> list[Tensor]:
        """Return the ids of the sentences of every class of a target of `prompted`."""
        ...


def numbered(source: Source, names: Sequence[str]) -> Tensor:
    """Return, for every sensor of a source, its place among some names; -1 for others and, last, for unknown ones."""
    return torch.tensor([*(names.index(k) if k in names else -1 for k in source.targets["sensor"].names), -1])


@torch.no_grad()
def features(model: AlignmentModel, tower: str, rows: Rows, modality: str, *, known: Sequence[str]) -> Tensor:
    """Return what one tower projects the rows of a modality to, before it is scaled to unit length; ``known``: sensors."""
    device, found = next(model.parameters()).device, []
    with evaluating(model):
        for start in range(0, len(rows), 256):
            batch = rows[start : start + 256].map(lambda value: value.to(device))
            aux = {"sensor": numbered(rows.source, known).to(device)[batch.aux["sensor"]]} if known else {}
            encoded = model.encoders[tower](batch.inputs[modality], aux)
            found.append(model.projections[tower](encoded.h).float().cpu())
    return torch.cat(found)


def heads(parts: Mapping[str, tuple[Tensor, Tensor]], how: Head, seed: int) -> dict[str, list[float]]:
    """Train a linear head on frozen features as the papers do; return the accuracy of every epoch on the other parts."""
    x, y = parts["train"]
    generator = torch.Generator().manual_seed(seed)
    head = nn.Linear(x.shape[1], int(max(y.max() for _, y in parts.values())) + 1)
    with torch.no_grad():  # the weight begins small, the last incomplete batch is dropped, the rate falls along a cosine
        head.weight.copy_(0.01 * torch.randn(head.weight.shape, generator=generator).clamp(-2, 2))
        head.bias.zero_()
    optimiser = torch.optim.AdamW(head.parameters(), how.lr, betas=(0.9, 0.99), weight_decay=how.weight_decay)
    size = min(how.batch_size, len(x))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, how.epochs * (len(x) // size))
    found: dict[str, list[float]] = {k: [] for k in parts if k != "train"}
    for _ in range(how.epochs):
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x) - size + 1, size):
            rows = order[start : start + size]
            optimiser.zero_grad()
            F.cross_entropy(head(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        for name in found:
            a, b = parts[name]
            with torch.no_grad():
                found[name].append(float((head(a).argmax(dim=1) == b).double().mean()))
    return found


def probe(parts: Mapping[str, tuple[Tensor, Tensor]], how: Head, seed: int, metric: str, detail: str) -> list[Number]:
    """Probe one target: the last epoch, the one that validation rows choose, and the best on test rows, which leaks."""
    told = {k: (x[y >= 0], y[y >= 0]) for k, (x, y) in parts.items()}
    curve = heads(told, how, seed)
    selected = curve["val"].index(max(curve["val"]))
    y = told["test"][1]
    chance = float(y.bincount().max()) / len(y)
    values = {"": curve["test"][-1], "/selected": curve["test"][selected], "/best on test": max(curve["test"])}
    found = [Number(metric + kind, detail, v, chance, len(y)) for kind, v in values.items()]
    return [*found, Number(f"{metric}/val", detail, curve["val"][-1], chance, len(told["val"][1]))]


class Seen:
    """The features of a probe set under one model, of every tower and modality that is asked for."""

    def __init__(self, model: AlignmentModel, source: Source, *, known: Sequence[str]) -> None:
        self.model, self.source, self.known = model, source, known
        self.rows: dict[str, Rows] = {part: source.part(part) for part in get_args(Part)}
        self.sensor = {k: r.target["sensor"] for k, r in self.rows.items()}
        self._kept: dict[tuple[str, str], dict[str, Tensor]] = {}

    def of(self, tower: str, modality: str) -> dict[str, Tensor]:
        """Return part -> features ``(n, D)``; touch pictures come with their sensor's id where the model knows it."""
        if (tower, modality) not in self._kept:
            known = self.known if modality.startswith("touch") else ()
            self._kept[tower, modality] = {
                k: features(self.model, tower, r, modality, known=known) for k, r in self.rows.items()
            }
        return self._kept[tower, modality]

    def labelled(self, x: Mapping[str, Tensor], target: str, sensor: int | None = None) -> dict[str, tuple[Tensor, Tensor]]:
        """Return part -> features and labels, of one sensor or of all."""
        here = {k: torch.ones_like(s, dtype=torch.bool) if sensor is None else s == sensor for k, s in self.sensor.items()}
        return {k: (x[k][m], self.rows[k].target[target][m]) for k, m in here.items()}

    def even(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Standardise features within every sensor, by the statistics of its training rows."""
        return dict(zip(x, standardise_by(*((v, self.sensor[k]) for k, v in x.items())), strict=True))


class Measuring:
    """Everything that is measured of one model; ``known`` are the sensors whose ids it was trained with."""

    def __init__(self, model: AlignmentModel, world: World, how: Head, seed: int, *, known: Sequence[str]) -> None:
        self.model, self.world, self.how, self.seed, self.known = model, world, how, seed, known
        self._seen: dict[int, Seen] = {}

    def seen(self, probed: Probed) -> Seen:
        """Return the features of a set, which are computed once."""
        return self._seen.setdefault(id(probed.source), Seen(self.model, probed.source, known=self.known))

    def probes(self) -> Iterator[Number]:
        """Probe the touch tower on touch: what learning rates are chosen by."""
        for probed in self.world.probes(self.seed):
            yield from self._probe(probed, "touch", "probe", probed.name)

    def others(self) -> Iterator[Number]:
        """Measure all else that the tables show."""
        sets = self.world.probes(self.seed)
        for probed in (p for p in sets if p.name == sets[0].name):
            yield from self._probe(probed, "vision", "synergy", "vision tower")
        for probed in self.world.pictures(self.seed):
            yield from self._probe(probed, "touch", "synergy", f"touch tower {probed.name}")
        shared = self.world.across(self.seed)
        yield from _sensors(self.seen(shared), shared)
        for probed in self.world.prompted(self.seed):
            yield from zero_shot(self.seen(probed), probed, self.world)
        yield from search(self.seen(shared), shared)

    def _probe(self, probed: Probed, tower: str, metric: str, name: str) -> Iterator[Number]:
        seen = self.seen(probed)
        each = [seen.of(tower, m) for m in probed.modalities]
        x = {part: torch.cat([f[part] for f in each], dim=1) for part in each[0]}
        for target in probed.targets:
            parts = seen.labelled(x, target, probed.sensor)
            yield from probe(parts, probed.head or self.how, self.seed, metric, f"{name} {target}")


def _sensors(seen: Seen, shared: Probed) -> Iterator[Number]:
    """Probe the sensor, and every target from one sensor to the others, before and after each sensor is standardised."""
    count = len(seen.source.targets["sensor"].names)
    if count < 2:
        return
    touch = seen.of("touch", "touch")
    for kind, x in (("", touch), (", standardised", seen.even(touch))):
        known = {k: (x[k], seen.sensor[k]) for k in ("train", "test")}
        found = linear_probe(known["train"], known["test"])
        yield Number("sensor", f"sensor{kind}", found.value, found.chance, len(found.items), tuple(found.items))
        for target in shared.targets:
            by = [seen.labelled(x, target, s) for s in range(count)]
            others = [[b["test"] for b in by if b is not a] for a in by]
            across = [
                linear_probe(a["train"], (torch.cat([f for f, _ in rest]), torch.cat([y for _, y in rest])))
                for a, rest in zip(by, others, strict=True)
            ]
            mean, chance = (sum(getattr(p, k) for p in across) / len(across) for k in ("value", "chance"))
            yield Number("transfer", f"{target}{kind}", mean, chance, len(across[0].items))


def zero_shot(seen: Seen, shared: Probed, world: World) -> Iterator[Number]:
    """Classify test pictures by the nearest class, the mean of its sentences."""
    pictures, model = seen.of("touch", "touch")["test"], seen.model
    device = next(model.parameters()).device
    for target in shared.targets:
        with torch.no_grad(), evaluating(model):
            ids = [sentences.to(device) for sentences in world.prompts(target)]
            classes = [model.projections["text"](model.encoders["text"](i, {}).h) for i in ids]
        names = torch.stack([F.normalize(z, dim=1).mean(dim=0) for z in classes]).float().cpu()
        every = seen.rows["test"].target[target]
        y = every[every >= 0]
        hits = ((pictures[every >= 0] @ F.normalize(names, dim=1).T).argmax(dim=1) == y).double()
        yield Number("zero-shot", target, float(hits.mean()), float(y.bincount().max()) / len(y), len(y), tuple(hits.tolist()))


def search(seen: Seen, shared: Probed) -> Iterator[Number]:
    """Find test rows of one modality by another, sensor by sensor, and what was touched through another sensor."""
    rows, sensor = seen.rows["test"], seen.sensor["test"]
    present, group = rows.present, rows.group
    z = {k: F.normalize(seen.of(k, k)["test"], dim=1) for k in ("text", "touch", "vision") if present[k].any()}
    each = [(sensor == s).nonzero()[:, 0] for s in range(int(sensor.max()) + 1)]
    for query, found in (pair for pair in PAIRS if set(pair) <= set(z)):
        both = [r[(present[query] & present[found])[r]] for r in each]
        by = [
            retrieve(
                Embeddings.of({query: z[query][r], found: z[found][r]}, group=None if group is None else group[r]),
                (query,),
                (found,),
                relevance=shared.relevance,
            )
            for r in both
            if len(r) > 1
        ]
        for k in ("R@1", "R@5") if by else ():
            value, chance = (sum(getattr(b, of)[k] for b in by) / len(by) for of in ("values", "chance"))
            yield Number(f"search/{k}", f"{query} > {found}", value, chance, by[0].pool)
    pairs = [paired for a, b in permutations(each, 2) if len(paired := _paired(z["touch"], group, a, b)) > 1]
    if by := [retrieve(emb, ("a",), ("b",)) for emb in pairs]:
        value, chance = (sum(getattr(b, of)["R@1"] for b in by) / len(by) for of in ("values", "chance"))
        yield Number("invariance", "same contact, other sensor", value, chance, by[0].pool)


def _paired(z: Tensor, group: Tensor | None, a: Tensor, b: Tensor) -> Embeddings:
    """Pair the rows of two sensors: contact by contact where both have the same, or else the mean of every item."""
    if group is None or torch.equal(group[a], group[b]):
        return Embeddings.of({"a": z[a], "b": z[b]})
    both = sorted(set(group[a].tolist()) & set(group[b].tolist()))
    means = [torch.stack([z[r][group[r] == g].mean(dim=0) for g in both]) if both else z[:0] for r in (a, b)]
    return Embeddings.of(dict(zip("ab", means, strict=True)))
