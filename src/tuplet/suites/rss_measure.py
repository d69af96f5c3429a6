"""What a touch model is measured by: linear probes, the sensor that features give away, transfer, prompts and retrieval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Protocol, get_args, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuplet.data import Rows, Source
from tuplet.data.source import Part
from tuplet.evaluate import linear_probe, retrieve, standardise_by
from tuplet.model import AlignmentModel
from tuplet.types import Embeddings

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
class Probed:
    """A set on which heads are trained."""

    name: str
    source: Source
    targets: tuple[str, ...]
    sensor: int | None = None  # whose rows count; None: all
    modalities: tuple[str, ...] = ("touch",)  # whose features are put side by side, all through one tower


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

    def sensor_of(self, probed: str) -> str:
        """Return the sensor of a probe set."""
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
        """Return a set of several sensors, for what they share: transfer, prompts and search."""
        ...

    def prompts(self, target: str) -> list[Tensor]:
        """Return the ids of the sentences of every class of a target of `across`."""
        ...


@dataclass(frozen=True)
class Head:
    """How the linear head of a probe is trained; the defaults are the published ones for Touch and Go."""

    epochs: int = 50
    batch_size: int = 64
    lr: float = 2e-4
    weight_decay: float = 0.05


@torch.no_grad()
def features(model: AlignmentModel, tower: str, rows: Rows, modality: str, *, known: bool) -> Tensor:
    """Return what one tower projects the rows of a modality to, before it is scaled to unit length; ``known``: with ids."""
    device, found = next(model.parameters()).device, []
    with model.evaluating():
        for start in range(0, len(rows), 256):
            batch = rows[slice(start, min(start + 256, len(rows)))].map(lambda value: value.to(device))
            encoded = model.encoders[tower](batch.inputs[modality], batch.aux if known else {})
            found.append(model.projections[tower](encoded.h).float().cpu())
    return torch.cat(found)


def heads(parts: Mapping[str, tuple[Tensor, Tensor]], how: Head, seed: int) -> dict[str, list[float]]:
    """Train a linear head on frozen features as the papers do; return the accuracy of every epoch on every part."""
    x, y = parts["train"]
    generator = torch.Generator().manual_seed(seed)
    head = nn.Linear(x.shape[1], int(max(y.max() for _, y in parts.values())) + 1)
    with torch.no_grad():  # the weight begins small, the last incomplete batch is dropped, the rate falls along a cosine
        head.weight.copy_(0.01 * torch.randn(head.weight.shape, generator=generator).clamp(-2, 2))
        head.bias.zero_()
    optimiser = torch.optim.AdamW(head.parameters(), how.lr, betas=(0.9, 0.99), weight_decay=how.weight_decay)
    size = min(how.batch_size, len(x))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, how.epochs * (len(x) // size))
    found: dict[str, list[float]] = {k: [] for k in parts}
    for _ in range(how.epochs):
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x) - size + 1, size):
            rows = order[start : start + size]
            optimiser.zero_grad()
            F.cross_entropy(head(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        for name, (a, b) in parts.items():
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

    def __init__(self, model: AlignmentModel, source: Source, *, known: bool) -> None:
        self.model, self.source, self.known = model, source, known
        self.rows: dict[str, Rows] = {part: source.part(part) for part in get_args(Part)}
        self.sensor = {k: r.target["sensor"] for k, r in self.rows.items()}
        self._kept: dict[tuple[str, str], dict[str, Tensor]] = {}

    def of(self, tower: str, modality: str) -> dict[str, Tensor]:
        """Return part -> features ``(n, D)``; touch pictures come with their sensor's id where the model knows it."""
        if (tower, modality) not in self._kept:
            known = self.known and modality == "touch"
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


def measure(model: AlignmentModel, world: World, how: Head, seed: int, *, known: bool) -> Iterator[Number]:
    """Measure everything that the tables show."""
    kept: dict[int, Seen] = {}

    def seen_of(probed: Probed) -> Seen:
        return kept.setdefault(id(probed.source), Seen(model, probed.source, known=known))

    def probe_all(probed: Probed, tower: str, metric: str, name: str) -> Iterator[Number]:
        seen = seen_of(probed)
        each = [seen.of(tower, m) for m in probed.modalities]
        x = {part: torch.cat([f[part] for f in each], dim=1) for part in each[0]}
        for target in probed.targets:
            yield from probe(seen.labelled(x, target, probed.sensor), how, seed, metric, f"{name} {target}")

    sets = world.probes(seed)
    for probed in sets:
        yield from probe_all(probed, "touch", "probe", probed.name)
    yield from probe_all(sets[0], "vision", "synergy", "vision tower")
    for probed in world.pictures(seed):
        yield from probe_all(probed, "touch", "synergy", "touch tower")
    shared = world.across(seed)
    yield from _sensors(seen_of(shared), shared)
    yield from zero_shot(seen_of(shared), shared, world)
    yield from search(seen_of(shared))


def _sensors(seen: Seen, shared: Probed) -> Iterator[Number]:
    """Probe the sensor, and every target from one sensor to the others, before and after each sensor is standardised."""
    touch, count = seen.of("touch", "touch"), len(seen.source.targets["sensor"].names)
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
    for target in shared.targets:
        with torch.no_grad(), model.evaluating():
            classes = [model.projections["text"](model.encoders["text"](ids, {}).h) for ids in world.prompts(target)]
        names = torch.stack([F.normalize(z, dim=1).mean(dim=0) for z in classes])
        y = seen.rows["test"].target[target]
        hits = ((pictures @ F.normalize(names, dim=1).T).argmax(dim=1) == y).double()
        yield Number("zero-shot", target, float(hits.mean()), float(y.bincount().max()) / len(y), len(y), tuple(hits.tolist()))


def search(seen: Seen) -> Iterator[Number]:
    """Find test rows of one modality by another, sensor by sensor, and the same contact through another sensor."""
    z = {k: F.normalize(seen.of(k, k)["test"], dim=1) for k in ("text", "touch", "vision")}
    sensor = seen.sensor["test"]
    each = [(sensor == s).nonzero()[:, 0] for s in range(int(sensor.max()) + 1)]
    for query, found in PAIRS:
        by = [retrieve(Embeddings.of({query: z[query][r], found: z[found][r]}), (query,), (found,)) for r in each]
        for k in ("R@1", "R@5"):
            value, chance = (sum(getattr(b, of)[k] for b in by) / len(by) for of in ("values", "chance"))
            yield Number(f"search/{k}", f"{query} > {found}", value, chance, by[0].pool)
    pairs = [Embeddings.of({"a": z["touch"][a], "b": z["touch"][b]}) for a, b in permutations(each, 2)]
    by = [retrieve(emb, ("a",), ("b",)) for emb in pairs]
    value, chance = (sum(getattr(b, of)["R@1"] for b in by) / len(by) for of in ("values", "chance"))
    yield Number("invariance", "same contact, other sensor", value, chance, by[0].pool)
