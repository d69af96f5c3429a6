"""`tuplet.sklearn.Aligner` is an estimator like any other, and does what `fit`, `encode` and `evaluate` do."""

import warnings
import wave

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from tuplet import Embeddings, InputError
from tuplet.evaluate import retrieve
from tuplet.objectives import Pairwise, Temperature
from tuplet.sklearn import Aligner

BLOCKS = {"force": slice(0, 3), "sound": [3, 4, 5, 6]}


def table(n=80):
    rng = np.random.default_rng(0)
    own = rng.normal(size=(n, 3))
    return np.hstack([own, own @ rng.normal(size=(3, 4)) + 0.1 * rng.normal(size=(n, 4))]), (own[:, 0] > 0).astype(int)


def test_it_passes_the_checks_of_scikit_learn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(Aligner(dim=4, epochs=1), on_fail=None, on_skip=None)
    failed = [(f["check_name"], f["exception"]) for f in found if f["status"] == "failed"]
    # one check sets parameters to values of other types, which a typed run refuses
    assert not [f for f in failed if type(f[1]).__name__ != "TypeCheckError"], failed
    assert sum(f["status"] == "passed" for f in found) > 40


def test_it_does_what_fit_and_encode_do():
    x, _ = table()
    aligner = Aligner(Pairwise(tau=0.1), dim=8, epochs=3, batch_size=20, lr=3e-3, modalities=BLOCKS, random_state=4)
    z = aligner.fit_transform(x)
    parts = {k: x[:, cs] for k, cs in BLOCKS.items()}
    encoded = aligner.model_.encode(parts)
    assert np.array_equal(z, np.hstack([encoded["force"], encoded["sound"]]))
    assert [entry["step"] for entry in aligner.history_] == [4, 8, 12]  # all 80 rows
    assert aligner.history_[0]["lr"] < 3e-3
    assert aligner.get_feature_names_out()[[0, 8]].tolist() == ["force_0", "sound_0"]
    emb = Embeddings.of(encoded)
    both = [retrieve(emb, (a,), (b,)).values["mAP"] for a, b in (("force", "sound"), ("sound", "force"))]
    assert np.isclose(aligner.score(x), np.mean(both))
    assert aligner.score(x) > 0.1 > 5 / 80
    assert np.array_equal(clone(aligner).fit_transform(x), z)
    assert not np.array_equal(clone(aligner).set_params(random_state=5).fit_transform(x), z)
    gone = x.copy()
    gone[:5, :3] = np.nan
    assert not aligner.transform(gone)[:5, :8].any()
    assert np.isfinite(aligner.score(gone))
    kept = clone(aligner).set_params(objective=Pairwise(tau=Temperature(0.1)))
    before = [p.clone() for p in kept.objective.parameters()]
    kept.fit(x)
    assert all(torch.equal(p, q) for p, q in zip(before, kept.objective.parameters(), strict=True))


def test_it_takes_what_read_takes(tmp_path):
    pd = pytest.importorskip("pandas")
    x, _ = table()
    parts = {k: x[:, cs] for k, cs in BLOCKS.items()}
    frame = pd.DataFrame(x, columns=["force.x", "force.y", "force.z", "sound.a", "sound.b", "sound.c", "sound.d"])
    np.savez(tmp_path / "my.npz", **parts)
    frame.to_parquet(tmp_path / "my.parquet")
    options = {"dim": 4, "epochs": 2}
    expected = Aligner(modalities=BLOCKS, **options).fit_transform(x)
    for given in (
        parts,
        frame,
        tmp_path / "my.npz",
        str(tmp_path / "my.parquet"),
        {k: pd.DataFrame(v) for k, v in parts.items()},
    ):
        aligner = Aligner(**options).fit(given)
        assert np.allclose(aligner.transform(given), expected, atol=1e-5)
        assert 0 < aligner.score(given) <= 1
    named = Aligner(modalities={"left": ["force.x", "sound.a"], "right": ["force.y", "sound.b"]}, **options).fit(frame)
    assert np.array_equal(named.transform(frame[frame.columns[::-1]][list(frame.columns)]), named.transform(frame))
    assert named.n_features_in_ == 7
    frames = {k: pd.DataFrame(v).iloc[5 * i :] for i, (k, v) in enumerate(parts.items())}
    z = Aligner(**options).fit_transform(frames)
    assert np.flatnonzero(~z[:, 4:].any(axis=1)).tolist() == [0, 1, 2, 3, 4]
    assert z[:, :4].any(axis=1).all()
    words = {"note": ["red cup", "blue ball"] * 20, "force": x[:40, :3]}
    assert Aligner(start="gcca", **options).fit_transform(words).shape == (40, 8)


def test_paths_of_sounds_are_read_as_in_training(tmp_path):
    pd = pytest.importorskip("pandas")
    rng, names = np.random.default_rng(0), {}
    for rate in (4000, 8000):
        names[rate] = [str(tmp_path / f"{rate}_{i}.wav") for i in range(40)]
        for name in names[rate]:
            with wave.open(name, "wb") as file:
                file.setnchannels(1), file.setsampwidth(2), file.setframerate(rate)
                file.writeframes((3000 * rng.normal(size=200)).astype("<i2").tobytes())
    x = rng.normal(size=(40, 3))
    given = {"sound": names[4000], "force": x}
    aligner = Aligner(dim=4, epochs=1).fit(given)
    z = aligner.transform(given)
    assert z.shape == (40, 8)
    assert z[:, 4:].any(axis=1).all()
    assert np.array_equal(aligner.transform({"sound": names[4000][:9], "force": x[:9]}), z[:9])
    frame = pd.DataFrame(x, columns=["force.x", "force.y", "force.z"]).assign(sound=names[4000])
    framed = Aligner(dim=4, epochs=1).fit(frame)
    assert np.allclose(framed.transform(frame), z, atol=1e-5)
    for fitted, other in ((aligner, {**given, "sound": names[8000]}), (framed, frame.assign(sound=names[8000]))):
        with pytest.raises(InputError, match=r"'sound' has 8000 samples a second, but the model was trained on 4000"):
            fitted.transform(other)


def test_it_runs_in_a_pipeline_and_a_grid_search():
    x, y = table()
    pipe = make_pipeline(Aligner(dim=4, epochs=2, modalities=BLOCKS), LogisticRegression())
    assert pipe.fit(x, y).score(x, y) > 0.7
    search = GridSearchCV(Aligner(dim=4, epochs=1, modalities=BLOCKS), {"objective": ["pairwise", "gram"], "lr": [1e-3]}, cv=2)
    search.fit(x)
    assert set(search.best_params_) == {"objective", "lr"}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_what_does_not_fit_is_refused():
    x, _ = table()
    fitted = Aligner(dim=4, epochs=1, modalities=BLOCKS).fit(x)
    for run, said in (
        (lambda: Aligner("nothing").fit(x), "objective is 'nothing'"),
        (lambda: Aligner(Pairwise(), tau=0.1).fit(x), "leave it out"),
        (lambda: Aligner(modalities=["a"]).fit(x), "one array needs name -> columns"),
        (lambda: Aligner(modalities={"a": [0], "b": [9]}).fit(x), "X has 7 columns"),
        (lambda: Aligner(epochs=0).fit(x), "epochs is 0"),
        (
            lambda: fitted.transform({"force": x[:, :3]}),
            "and lacks ['sound']; for rows of some modalities alone use model_.enc",
        ),
        (lambda: fitted.transform({"force": x[:, :3], "sound": x[:9, 3:]}), "'sound': 9} rows; row i of all must be the same"),
        (lambda: fitted.score(np.hstack([x[:2, :3], np.full((2, 4), np.nan)])), "nothing to retrieve"),
    ):
        with pytest.raises(InputError) as error:
            run()
        assert said in str(error.value)
