"""Annotation files of VAST and GRAM in their shapes, and VGGSound's: items, rows, parts, and what is left out."""

import json

import numpy as np
import pytest
import torch

from tests.fixtures import captions as fixture
from tuplet import Embeddings, InputError
from tuplet.datasets.captions import READER, entries, load
from tuplet.evaluate import rank_metrics, retrieve


def test_the_first_key_counts_and_texts_stand_as_written(tmp_path):
    fixture.write(tmp_path)
    file = tmp_path / "descs_ret_train.json"
    assert [(i.id, i.texts) for i in entries(file)] == [
        ("video7", ["a man folds a paper boat"]),
        ("video8", ["two dogs run on wet sand", "dogs  play "]),
        ("-5Hy.16", ["a cook slices onions"]),
        ("42", ["a red bus"]),
        ("val/000043.jpg", ["a cat", "a grey cat"]),
        ("lone", ["nobody filmed it"]),
        ("silent", []),
    ]
    assert [i.texts for i in entries(file, "subtitle")][:3] == [[" first you fold it in half"], [""], []]
    assert [i.texts for i in entries(file, "audio")][1:3] == [["waves"], ["a knife taps", "a man"]]
    (tmp_path / "vgg.csv").write_text('---g,30,"wind, chime",test\n-x.y,7,dog barking,train\n')
    assert entries(tmp_path / "vgg.csv") == [("---g_000030", ["wind, chime"], 2), ("-x.y_000007", ["dog barking"], 0)]


def test_rows_are_captions_and_groups_are_items(tmp_path):
    video, audio = fixture.write(tmp_path / "set")
    assert READER.verify(tmp_path / "set") == [
        "13 captions of 9 items, 1 to 2 each; 7 train, 0 val, 6 test",
        "11 items, 9 of them with caption texts and a vector; the others are left out",
        "audio: 3 of 9 items have a vector, 6 lack one, such as t0; vectors without an item: 1",
        "video: 9 of 9 items have a vector; vectors without an item: 1",
    ]
    source = load(tmp_path / "set")
    again = load(READER.convert(tmp_path / "set", tmp_path / "set.safetensors"))
    assert again.provenance.notes == source.provenance.notes
    ids = [
        "t0",
        "t1",
        "t1",
        "t2",
        "t3",
        "t3",
        "video7",
        "video8",
        "video8",
        "-5Hy.16",
        "42",
        "val/000043.jpg",
        "val/000043.jpg",
    ]
    for one in (source, again):
        assert one.group.tolist() == [0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 8, 8]
        assert one.split.test.tolist() == list(range(6))
        assert not set(one.group[one.split.val].tolist()) & set(one.group[one.split.train].tolist())
        for name, vectors in (("video", video), ("audio", audio)):
            for part in (one.train, one.val, one.test):
                rows = part[:]
                for i, row in enumerate(rows.index.tolist()):
                    here = ids[row] in vectors
                    assert bool(rows.present[name][i]) == here
                    mean = np.atleast_2d(vectors[ids[row]]).mean(axis=0) if here else 0
                    assert np.allclose(rows.inputs[name][i], mean, atol=1e-6)
    assert len(set(map(tuple, source.test[:].inputs["text"].tolist()))) == 6
    firsts = load(tmp_path / "set", captions="first")
    assert firsts.group.tolist() == list(range(9))
    sounds = load(tmp_path / "set", kind="audio")
    assert sounds.group.tolist() == [0, 1, 1, 2]
    assert set(sounds.modalities) == {"text", "video"}
    assert sounds.provenance.notes[-1] == "no files of train and test items: parts are drawn by item"
    with pytest.raises(InputError, match="converted with captions 'all'"):
        load(tmp_path / "set.safetensors", captions="first")


def test_vggsound_and_vectors_as_one_table(tmp_path):
    lines = [f"id{i},{i},{('dog', 'rain')[i % 2]},{('train', 'test')[i // 6]}" for i in range(9)]
    (tmp_path / "vggsound.csv").write_text("\n".join(lines))
    rows = np.random.default_rng(0).normal(size=(9, 4))
    np.savez(tmp_path / "audio.npz", id=[f"id{i}_{i:06d}" for i in range(9)], vector=rows)
    source = load(tmp_path)
    assert source.targets["label"].names == ("dog", "rain")
    assert source.test[:].target["label"].tolist() == [0, 1, 0]
    assert np.allclose(source.test[:].inputs["audio"], rows[6:])


def test_every_caption_is_a_query_and_every_item_one_candidate():
    g = torch.Generator().manual_seed(0)
    item = torch.tensor([4, 4, 0, 1, 1, 1, 3, 2, 2, 7])
    order = [4, 0, 1, 3, 2, 7]  # as they come
    video = torch.randn(8, 3, generator=g).round()  # with ties
    emb = Embeddings.of({"text": torch.randn(10, 3, generator=g).round() + 0.1, "video": video[item] + 0.1}, group=item)
    scores = (torch.nn.functional.normalize(emb.z["text"].double(), dim=1)) @ (
        torch.nn.functional.normalize(video[order].double() + 0.1, dim=1).mT
    )
    relevant = item[:, None].numpy() == np.array(order)
    for query, candidates, expected in (
        ("text", "video", rank_metrics(scores.numpy().round(9), relevant)),
        ("video", "text", rank_metrics(scores.numpy().round(9).T, relevant.T)),
    ):
        found = retrieve(
            emb,
            (query,),
            (candidates,),
            relevance="group",
            once=("video",),
            score=lambda q, c: (
                torch.nn.functional.normalize(next(iter(q.values())), dim=1)
                @ torch.nn.functional.normalize(next(iter(c.values())), dim=1).mT
            ).round(decimals=9),
        )
        assert (found.queries, found.pool) == ((10, 6) if query == "text" else (6, 10))
        for name, values in expected[0].items():
            assert np.allclose(found.items[name], values), (query, name)
        assert found.tied == expected[1]
    for relevance, once in (("instance", ("video",)), ("group", ("smell",))):
        with pytest.raises(InputError, match="relevance 'group'"):
            retrieve(emb, ("text",), ("video",), relevance=relevance, once=once)


def test_damaged_sets_are_one_line(tmp_path):
    for number, (change, message) in enumerate(
        (
            (lambda r: (r / "descs_ret_test.json").write_text("{}"), "no list of entries"),
            (lambda r: (r / "descs_ret_test.json").write_text('[{"desc": "x"}]'), "no id in entry 0"),
            (lambda r: (r / "descs_ret_test.json").write_text('[{"id": "x", "desc": 3}]'), "no text in entry 0"),
            (lambda r: (r / "descs_ret_test.json").write_text(json.dumps(fixture.TRAIN[:1])), "in test and in train"),
            (lambda r: (r / "more.json").write_text('[{"id": "../../x", "desc": "y"}]'), "without '..'"),
            (lambda r: (r / "vgg.csv").write_text("a,1,dog,dev\n"), "part 'dev'"),
            (lambda r: (r / "vgg.csv").write_text("a,soon,dog,test\n"), "whole number"),
            (lambda r: np.save(r / "audio" / "video7.npy", np.full(4, np.nan)), "expected finite floats"),
            (lambda r: np.save(r / "audio" / "video7.npy", np.ones(9)), "vectors of 4 and of 9"),
            (lambda r: np.savez(r / "video.npz", other=np.ones(3)), "no vector of any item"),
            (lambda r: np.savez(r / "video.npz", id=np.arange(3), vector=np.ones((2, 3))), "expected (n,) and (n, D)"),
            (lambda r: np.savez(r / "text.npz", video7=np.ones(3)), "rename"),
        )
    ):
        root = tmp_path / str(number)
        fixture.write(root)
        change(root)
        with pytest.raises(InputError) as error:
            load(root)
        assert message in str(error.value), str(error.value)
        assert "\n" not in str(error.value)
