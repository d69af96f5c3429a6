"""Pictures, frames and tables for a notebook."""

import re

import numpy as np
import pytest
import torch

from tuplet import Embeddings, InputError, TrainConfig, evaluate, fit, plot
from tuplet.data import from_arrays
from tuplet.frames import Listed, html
from tuplet.objectives import Pairwise


def space(n=60):
    x = torch.randn(n, 8, generator=torch.Generator().manual_seed(0))
    return Embeddings.of({"image": x, "text": x + 0.1}, present={"text": torch.arange(n) > 4})


def trained():
    x = np.random.default_rng(0).normal(size=(60, 3))
    source = from_arrays({"<a>": x, "b": x[:, ::-1].copy()})
    config = TrainConfig(epochs=3, batch_size=20)
    return source, fit(None, Pairwise(), train=source.train, val=source.val, config=config)


def test_a_space_is_drawn_in_its_widest_directions():
    emb = space()
    (axis,) = plot.space(emb).axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["image", "text"]
    image, text = (cloud.get_offsets() for cloud in axis.collections)
    assert (len(image), len(text)) == (60, 55)
    both = torch.cat([emb.z[k][emb.present[k]] for k in ("image", "text")])
    both = torch.nn.functional.normalize(both.double(), dim=1)
    variance = torch.linalg.svdvals(both - both.mean(dim=0)).square()
    drawn = np.concatenate([image, text]).var(axis=0)
    assert np.allclose(drawn, (variance[:2] / len(both)).numpy())
    assert f"direction 1 ({100 * variance[0] / variance.sum():.0f} %" in axis.get_xlabel()
    assert len(axis.lines) == 55
    assert len(plot.space(emb, rows=10).axes[0].collections[0].get_offsets()) == 10


def test_neighbours_are_the_nearest_by_cosine():
    emb = space()
    names = [f"item {i}" for i in range(60)]
    (axis,) = plot.neighbours(emb, 7, k=3, labels=names).axes
    cosine = torch.nn.functional.cosine_similarity(emb.z["text"].double(), emb.z["image"][7].double(), dim=1)
    cosine[:5] = -2
    best = cosine.argsort(descending=True)[:3]
    assert [t.get_text() for t in axis.get_yticklabels()] == [names[i] for i in best]
    assert np.allclose([bar.get_width() for bar in axis.patches], cosine[best])
    assert axis.get_title() == "image -> text: match at place 1 of 55"
    assert axis.patches[0].get_facecolor() != axis.patches[1].get_facecolor()
    assert plot.neighbours(emb, 2).axes[0].get_title() == "image -> text: has no match"
    for run, said in (
        (lambda: plot.neighbours(emb, 60), "query is 60"),
        (lambda: plot.neighbours(emb, 2, modality="text"), "item 2 has ['image']"),
        (lambda: plot.neighbours(Embeddings.of({"image": torch.eye(3)}), 0), "only 'image' has embeddings"),
        (lambda: plot.neighbours(emb, 2, labels=["a"]), "expected one for each of 60"),
        (lambda: plot.history([]), "train for an epoch"),
    ):
        with pytest.raises(InputError) as error:
            run()
        assert said in str(error.value)


def test_runs_and_results_are_shown_in_a_notebook():
    pd = pytest.importorskip("pandas")
    source, run = trained()
    (axis,) = run.plot().axes
    assert [line.get_label() for line in axis.lines] == ["training", "validation"]
    assert np.allclose(axis.lines[1].get_ydata(), [entry["val"] for entry in run.history])
    results = evaluate.evaluate(run.model, Pairwise(), source)
    frame = results.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["metric", "value", "detail", "higher", "chance", "pool"]
    assert frame["value"].tolist() == [r.value for r in results]
    found = evaluate.inspect(space())
    assert found.to_frame()["R@1"].tolist() == [r.values["R@1"] for r in found.directions.values()]
    assert repr(found).startswith("Inspection(Usable for search")
    for shown, lines, said in (
        (source, 2, "&lt;a&gt;"),
        (run, 3, "val"),
        (space(), 2, "60 items"),
        (results, min(20, len(results)), "to_frame"),
        (found, 2, "Usable"),
    ):
        text = shown._repr_html_()
        assert len(re.findall("<tr>", text)) == lines + 1, text
        assert said in text
        assert "<a>" not in text
    assert Listed().to_frame().empty
    assert html("a < b", []).startswith("<table><caption>a &lt; b</caption>")
