"""What a touch comparison says: its tables in the paper's layout, and the paper's claims beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tuplet.report import Grid
from tuplet.study._stats import Spread, spread
from tuplet.study.record import Finding, Record, averaged, grouped
from tuplet.suites.rss_measure import World
from tuplet.suites.rss_plan import ABLATIONS, COMPARED, LABELS

Pick = Callable[[str, str], bool]
"""Which metric and detail count."""
Kinds = dict[str, list[tuple[str, str]]]
"""Kind of robustness -> pairs of the training set and the probe set."""


def kinds(world: World) -> Kinds:
    """Sort pairs by what the touch tower saw: the probed sensor alone (intra), others (cross), or several (multi)."""
    found: Kinds = {"intra": [], "cross": [], "multi": []}
    for corpus, sensors in world.corpora.items():
        for name, sensor in world.probed.items():
            kind = "multi" if len(sensors) > 1 else "intra" if sensor in sensors else "cross"
            found[kind].append((corpus, name))
    return {k: pairs for k, pairs in found.items() if pairs}


class Reading:
    """The records of a run, looked up by training set, method and variant."""

    def __init__(self, records: Sequence[Record], world: World) -> None:
        self.main, self.kinds = world.main, kinds(world)
        shown = [r.detail.split() for r in records if r.metric == "synergy" and r.detail.startswith("touch tower")]
        self.pictured = list(dict.fromkeys(words[2] for words in shown))
        self.found = grouped(((r.task, r.entry, r.variant), r) for r in records)

    def score(self, task: str, entry: str, pick: Pick, variant: str = "default") -> dict[int, float]:
        """Average the numbers that are picked, seed by seed."""
        return averaged((r.seed, r.value) for r in self.found.get((task, entry, variant), []) if pick(r.metric, r.detail))

    def apart(self, ours: dict[int, float], theirs: dict[int, float]) -> Spread | None:
        """Compare two scores seed by seed, in points."""
        seeds = sorted(ours.keys() & theirs.keys())
        return spread([100 * (ours[s] - theirs[s]) for s in seeds]) if seeds else None


def probed(sensor: str = "", kind: str = "probe") -> Pick:
    """Pick the probes of one sensor, or of all."""
    return lambda metric, detail: metric == kind and detail.startswith(sensor)


def of(metric: str, detail: str = "") -> Pick:
    """Pick one number, or all of a metric."""
    return lambda m, d: m == metric and detail in ("", d)


def tables(run: Reading) -> dict[str, Grid]:
    """Build the tables; those without rows are left out."""
    of_main = f"trained on {run.main}, %"
    made = {
        "Robustness: accuracy of linear probes, %": _robustness(run),
        f"Which epoch is reported: {of_main}": _chosen(run),
        f"Synergy: each tower on the other's pictures, {of_main}": _synergy(run),
        f"The sensor in touch features, {of_main}": _sensor(run),
        f"Prompts and search: {of_main}": _search(run),
        "Stability: accuracy of probes by the size of batches, %": _stability(run),
        f"Ablations of TLV-CoRe: {of_main}": _ablations(run),
    }
    return {title: grid for title, grid in made.items() if grid}


def _percent(values: dict[int, float]) -> str:
    if not values:
        return "-"
    s = spread([100 * v for v in values.values()])
    return f"{s.mean:.1f}" + (f" ± {s.sd:.1f}" if s.n > 1 else "")


def _grid(head: list[str], lines: list[list[str]], words: int = 1, plain: Sequence[str] = ()) -> Grid:
    """Leave out rows and columns that nothing was measured of; mark the best of each column but those where more is not."""
    there = [i for i in range(len(head)) if i < words or any(line[i] != "-" for line in lines)]
    shown = [[line[i] for i in there] for line in lines if set(line[words:]) - {"-"}]
    marks = [["" if head[i] in plain else m for i, m in zip(there, row, strict=True)] for row in _best(shown, words)]
    return Grid([head[i] for i in there], shown, words=words, marks=marks)


def _best(lines: list[list[str]], words: int) -> list[list[str]]:
    """Mark the largest mean of every column."""
    marks = [[""] * len(line) for line in lines]
    for column in range(words, len(lines[0]) if lines else 0):
        values = [float(line[column].split()[0]) if line[column] != "-" else -np.inf for line in lines]
        for row, value in enumerate(values):
            marks[row][column] = "best" * (value == max(values) > -np.inf)
    return marks


def _robustness(run: Reading) -> Grid:
    head = ["method", "trained, % of weights"]
    head += [f"{kind}{_mark(kind, a, b)}: {a} → {b}" for kind, pairs in run.kinds.items() for a, b in pairs]
    lines = []
    for entry, label in LABELS.items():
        share = run.score(run.main, entry, of("trainable"))
        cells = [_percent(run.score(a, entry, probed(b))) for pairs in run.kinds.values() for a, b in pairs]
        lines.append([label, f"{100 * np.mean(list(share.values())):.1f}" if share else "0", *cells])
    return _grid(head, lines, words=2)


def _mark(kind: str, corpus: str, probed: str) -> str:
    """Mark a pair of one sensor but two data sets, which the paper counts as cross."""
    return " (other set)" if kind == "intra" and corpus != probed else ""


def _methods(run: Reading, picks: Sequence[Pick]) -> list[list[str]]:
    """Write a line per method, with some numbers of the main data set."""
    return [[label, *(_percent(run.score(run.main, entry, pick)) for pick in picks)] for entry, label in LABELS.items()]


def _chosen(run: Reading) -> Grid:
    kinds = {"last": "probe", "chosen on validation rows": "probe/selected", "best on test rows (leaks)": "probe/best on test"}
    return _grid(["method", *kinds], _methods(run, [probed(kind=kind) for kind in kinds.values()]))


def _synergy(run: Reading) -> Grid:
    towers = {"vision tower on touch": "vision"} | {f"touch tower on {name}": f"touch tower {name} " for name in run.pictured}
    return _grid(["method", *towers], _methods(run, [probed(t, "synergy") for t in towers.values()]))


def _sensor(run: Reading) -> Grid:
    head = [
        "method",
        "sensor found by a probe",
        "same, each sensor standardised",
        "probe on another sensor",
        "same, standardised",
        "same contact found through another sensor, R@1",
    ]
    sensor = [of("sensor", "sensor"), of("sensor", "sensor, standardised")]
    return _grid(head, _methods(run, [*sensor, *map(_transfer, (False, True)), of("invariance")]), plain=head[1:3])


def _transfer(even: bool) -> Pick:
    return lambda metric, detail: metric == "transfer" and detail.endswith(", standardised") == even


def _search(run: Reading) -> Grid:
    ways = ("touch > text", "text > touch", "touch > vision", "vision > touch")
    head = ["method", "zero-shot by prompts", *(f"{w}, R@1" for w in ways)]
    return _grid(head, _methods(run, [of("zero-shot"), *(of("search/R@1", w) for w in ways)]))


def batches(run: Reading, entry: str) -> dict[int, dict[int, float]]:
    """Return batch size -> the score of every seed."""
    found = {64: run.score(run.main, entry, probed())}
    for task, method, variant in run.found:
        if (task, method) == (run.main, entry) and variant.startswith("batch "):
            found[int(variant.split()[1])] = run.score(run.main, entry, probed(), variant)
    return dict(sorted((k, v) for k, v in found.items() if v))


def slope(found: dict[int, dict[int, float]]) -> tuple[dict[int, float], dict[int, float]]:
    """Return range and slope per doubling of the score over batch sizes, seed by seed."""
    seeds = sorted(set.intersection(*(set(v) for v in found.values())))
    sizes = np.log2(list(found))
    curves = {s: np.array([v[s] for v in found.values()]) for s in seeds}
    return {s: float(np.ptp(c)) for s, c in curves.items()}, {s: float(np.polyfit(sizes, c, 1)[0]) for s, c in curves.items()}


def _stability(run: Reading) -> Grid:
    by = {entry: found for entry in COMPARED if len(found := batches(run, entry)) > 1}
    sizes = sorted({k for found in by.values() for k in found})
    lines = []
    for entry, found in by.items():
        reach, rise = slope(found)
        cells = [_percent(found.get(k, {})) for k in sizes]
        lines.append([LABELS[entry], *cells, _percent(reach), _percent(rise)])
    plain = ["range", "slope per doubling"]
    return _grid(["method", *(f"batch {k}" for k in sizes), *plain], lines, plain=plain)


def _ablations(run: Reading) -> Grid:
    head = ["variant", "probes", "vision tower on touch", "touch tower on pictures", "sensor found", "probe on another sensor"]
    picks = (probed(), probed("vision", "synergy"), probed("touch", "synergy"), of("sensor", "sensor"), _transfer(False))
    lines = [
        [name, *(_percent(run.score(run.main, "tlv_core", pick, variant)) for pick in picks)]
        for name, variant in (("as published", "default"), *((v, v) for v in ABLATIONS))
    ]
    return _grid(head, lines, plain=["sensor found"])


def findings(run: Reading) -> list[Finding]:
    """Hold the paper's claims against a run."""
    return [f for make in (_better, _disentangled, _bridged, _stable) for f in make(run)]


def _judged(claim: str, apart: dict[str, Spread | None], *, higher: bool = True) -> list[Finding]:
    """Judge differences in points: seen if all are clear in the claimed direction, the reverse if only others are."""
    known = {k: d for k, d in apart.items() if d is not None}
    if not known:
        return []
    sign = 1 if higher else -1
    ends = [sorted((sign * d.low, sign * d.high)) if d.n > 1 else (-np.inf, np.inf) for d in known.values()]
    clear, against = [low > 0 for low, _ in ends], any(high < 0 for _, high in ends)
    word = "seen" if all(clear) else "partly seen" if any(clear) else "the reverse is seen" if against else "not told apart"
    told = [f"{k} {d.mean:+.1f}" + (f" [{d.low:+.1f}, {d.high:+.1f}]" if d.n > 1 else "") for k, d in known.items()]
    return [Finding(claim, word, "differences in points, over seeds: " + "; ".join(told))]


def _better(run: Reading) -> list[Finding]:
    found = []
    for kind, pairs in run.kinds.items():

        def score(entry: str, pairs: list[tuple[str, str]] = pairs) -> dict[int, float]:
            parts = [run.score(a, entry, probed(b)) for a, b in pairs]
            return {s: float(np.mean([p[s] for p in parts])) for s in set.intersection(*(set(p) for p in parts))}

        against = {LABELS[e]: run.apart(score("tlv_core"), score(e)) for e in ("clip", "tlv_link", "any_touch", "vit_lens")}
        found += _judged(f"TLV-CoRe is more robust than baselines on the same base ({kind})", against)
    return found


def _disentangled(run: Reading) -> list[Finding]:
    sensor = of("sensor", "sensor")
    ours, coupled = (run.score(run.main, "tlv_core", sensor, v) for v in ("default", "no decoupling"))
    lowered = {"no decoupling": run.apart(ours, coupled), "frozen CLIP": run.apart(ours, run.score(run.main, "clip", sensor))}
    found = _judged("The decoupling removes the sensor from touch features", lowered, higher=False)
    free = run.score(run.main, "tlv_core", of("sensor", "sensor, standardised"))
    across = [run.score(run.main, "tlv_core", _transfer(even)) for even in (True, False)]
    cheap = "Standardising each sensor's features removes more, for nothing"
    found += _judged(cheap, {"sensor": run.apart(free, ours)}, higher=False)
    return found + _judged(
        "Standardising each sensor's features helps a probe on another sensor", {"accuracy": run.apart(*across)}
    )


def _bridged(run: Reading) -> list[Finding]:
    found = []
    for tower, name in (("vision", "the vision tower on touch"), ("touch", "the touch tower on photographs")):
        pick = probed(tower, "synergy")
        ours = run.score(run.main, "tlv_core", pick)
        against = {"no adapter": run.apart(ours, run.score(run.main, "tlv_core", pick, "no adapter"))}
        against |= {LABELS[e]: run.apart(ours, run.score(run.main, e, pick)) for e in ("clip", "tlv_link")}
        found += _judged(f"The shared adapter gives synergy: {name}", against)
    return found


def _stable(run: Reading) -> list[Finding]:
    reach = {e: slope(found)[0] for e in COMPARED if len(found := batches(run, e)) > 1}
    if "tlv_core" not in reach:
        return []
    against = {LABELS[e]: run.apart(reach["tlv_core"], r) for e, r in reach.items() if e != "tlv_core"}
    return _judged("TLV-CoRe depends less on the size of batches (range of accuracy)", against, higher=False)
