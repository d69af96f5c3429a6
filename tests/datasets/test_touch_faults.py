"""Readers of tactile data sets on bad input: one line each, nothing written, and never another error."""

import json
import pickle
import random
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.fuzz_child import damaged
from tests.fixtures import touch_sets as fixture
from tuplet.catalog import READERS
from tuplet.data import Table, write_table
from tuplet.nets import tokeniser
from tuplet.types import InputError

PICTURES = (".jpg", ".png")


def append(name, text):
    def edit(root):
        with (root / name).open("a") as file:
            file.write(text)

    return edit


def put(name, content):
    def edit(root):
        raw = (
            content
            if isinstance(content, bytes)
            else content.encode()
            if isinstance(content, str)
            else json.dumps(content).encode()
        )
        (root / name).write_bytes(raw)

    return edit


def save(name, image):
    return lambda root: image.save(root / name)


def remove(name):
    return lambda root: (root / name).unlink()


def tokens(ids):
    return lambda root: torch.save(ids, root / "text" / "tag_4.pt")


def ids_beside_captions(root):
    (root / "text" / "tacquad_outdoor_1.pt").rename(root / "text" / "tacquad_outdoor_0.pt")


FRAME = "dataset/c/gelsight_frame/0000000001.jpg"
WIDE = (torch.zeros(78, dtype=torch.int64), torch.zeros(78, dtype=torch.int64))
SEVEN = b"\x80\x03K\x07."
FAULTS = [
    ("touch_and_go", append("train.txt", "../x/0.jpg,1\n"), r"names '\.\./x/0\.jpg', expected a path within"),
    ("touch_and_go", append("train.txt", "/etc/0.jpg,1\n"), "expected a path within"),
    ("touch_and_go", append("train.txt", "c/0000000077.jpg,1\n"), r"0000000077\.jpg does not exist; copy"),
    ("touch_and_go", append("test.txt", "\nc/0000000000.jpg,7"), "in train and test; that leaks"),
    ("touch_and_go", append("train.txt", "c/0000000000.jpg,2\n"), "two labels of 'c/0000000000.jpg'; remove one"),
    ("touch_and_go", append("train.txt", "c/0000000000.jpg,20\n"), "label is '20', expected a whole number from -1 to 19"),
    ("touch_and_go", append("train_rough.txt", "c/0000000000.jpg,rough\n"), "label is 'rough'"),
    ("touch_and_go", append("train.txt", "c\n"), "has 1 cells in row 13, expected 2"),
    ("touch_and_go", remove("train.txt"), "give the folder that holds it"),
    ("touch_and_go", remove("test_rough.txt"), r"test_rough\.txt cannot be read"),
    ("touch_and_go", remove(FRAME), r"c/gelsight_frame/0000000001\.jpg does not exist"),
    ("touch_and_go", lambda root: shutil.rmtree(root / "dataset/c/video_frame"), "nor do 2 other files of vision"),
    ("touch_and_go", remove("text/tag_4.pt"), r"tag_4\.pt cannot be read"),
    ("touch_and_go", tokens(WIDE), "holds 78 ids and 78 marks, expected 77"),
    ("touch_and_go", tokens(torch.nn.Linear(1, 1)), "holds no token ids that load without code"),
    ("touch_and_go", append("contact_text_tag_notest.csv", "a,3,4,2\n"), "test flag is '2'"),
    ("touch_and_go", save(FRAME, Image.new("CMYK", (16, 16))), "is a picture of mode CMYK, expected"),
    ("touch_and_go", save(FRAME, Image.new("RGB", (300, 16))), "has 300 x 16 pixels, expected a picture"),
    ("touch_and_go", put(FRAME, b"GIF89a"), "is no readable picture .*expected PNG or JPEG"),
    ("ssvtp", append("test.csv", "images_rgb/image_0_rgb.jpg\n"), "in train and in test; that leaks"),
    ("ssvtp", append("test.csv", "images_rgb/image_77_rgb.jpg\n"), r"image_77_tac\.jpg does not exist"),
    ("ssvtp", append("test.csv", "images_rgb/7.jpg\n"), r"expected images_rgb/image_ID_rgb\.jpg"),
    ("ssvtp", put("text/labels_3.txt", "soft " * 500), "text of 2499 characters in row 3, expected at most 2000"),
    ("tvl", append("hct/data1/train.csv", "t0/tactile/0-0.5.jpg,t0/vision/0-0.5.jpg,bg.jpg,soft\n"), "pairs .* expected"),
    (
        "tvl",
        append("hct/data1/train.csv", "t0/vision/../../x.jpg,t0/tactile/0-0.5.jpg,bg.jpg,soft\n"),
        "expected a path within",
    ),
    ("tvl", put("hct/data2/contact.json", {"vision": ["a"], "tactile": []}), "lists 1 pictures of vision and 0"),
    ("tvl", put("hct/data2/contact.json", [1]), "vision is no list of names"),
    ("tvl", save("hct/data1/t0/vision/0-0.5.jpg", Image.new("RGB", (8, 40))), "too few to crop 11 at 0"),
    ("tvl", save("hct/data1/t0/tactile/0-0.5.jpg", Image.new("RGB", (8, 90))), "has 8 x 90 pixels, expected a picture"),
    ("octopi", put("val_samples.json", {"orange": ["physiclear_orange_1"]}), "object 'orange' in train and in val; that leaks"),
    ("octopi", put("val_samples.json", {"brick": ["../brick"]}), "expected a path within"),
    ("octopi", put("val_samples.json", {"brick": ["physiclear_brick_9"]}), "physiclear_brick_9 cannot be read"),
    ("octopi", put("val_samples.json", {"brick": "x"}), "is no list of names"),
    ("octopi", put("ranks.json", {"orange": {"hardness": 0, "roughness": 1, "texture": 3}}), "texture of 'orange' is 3"),
    ("octopi", put("ranks.json", {}), "has no ranks of 'orange'"),
    ("tacquad", append("contact_indoor.csv", "cup,1,4,,,,\n"), "gelsight end is 4, expected 1 to 3"),
    ("tacquad", append("contact_indoor.csv", "cup,3,2,,,,\n"), "gelsight end is 2, expected 3 to 3"),
    ("tacquad", append("contact_indoor.csv", "../cup,1,4,,,,\n"), "expected a path within"),
    ("tacquad", ids_beside_captions, "captions in some rows and token ids in others"),
    ("tacquad", append("contact_indoor.csv", "cup,1\n"), "has 2 cells in row 4, expected 7"),
    ("tacquad", remove("data_indoor/cup/img_digit/0.png"), "img_digit/0.png does not exist"),
    ("objectfolder_touch", put("label.json", {"101": 2}), "object 102 is None, expected a whole number from 0 to 6"),
    ("objectfolder_touch", put("split.json", {"train": [[101, 0]], "test": [[101, 0]]}), "101/0 in two parts"),
    ("objectfolder_touch", put("split.json", {"train": [[101, "../0"]]}), r"number is '\.\./0'"),
    ("objectfolder_touch", put("split.json", {"train": {"101": 0}}), "has no list of .object, number. in train"),
    ("objectfolder_touch", put("split.json", {"train": [[101, 0]]}), "has no val rows|no test rows"),
    ("feel", put("split_3.json", {**fixture.FEEL, "val": ["ball"]}), "object 'ball' in train and in val; that leaks"),
    ("feel", put("split_3.json", {**fixture.FEEL, "val": []}), "object 'box' in no part"),
    ("feel", remove("split_3.json"), "has no published split feel; take the other split"),
    ("feel", append("feel.csv", "ball,0,2\n"), "grip is '2'"),
    ("feel", append("feel.csv", "..,0,1\n"), "expected a path within|in no part"),
    ("feel", remove("feel/egg/touch_during/1_B.png"), r"1_B\.png does not exist"),
    ("touch100k", append("data_list.json", '{"img": "1.jpg"}\n'), "line 11 without the texts img, sentence_desc, phrase_desc"),
    ("touch100k", append("data_list.json", '{"img": "/x", "sentence_desc": "", "phrase_desc": ""}'), "expected a path within"),
    ("sitr", lambda root: (root / "sensor_0003" / "samples").mkdir(parents=True), "sensor_0003 has no samples"),
    ("cifar", put("data_batch_2", SEVEN), "holds a int, expected the dict of CIFAR"),
    ("cifar", put("data_batch_2", pickle.dumps({"data": np.zeros((2, 3072), np.float32)})), "dtype uint8; copy it again"),
    ("cifar", put("data_batch_2", pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0]})), "no list of 2 labels"),
    (
        "cifar",
        put("data_batch_2", pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [3]})),
        "label is 3, expected",
    ),
    ("cifar", put("data_batch_2", pickle.dumps(shutil.rmtree)), "asks for shutil.rmtree"),
    ("cifar", remove("batches.meta"), "has neither batches.meta nor meta"),
    ("dogs", append("labels.csv", "../../x,pug\n"), "expected a path within"),
    ("dogs", append("labels.csv", "77f,pug\n"), r"77f\.jpg does not exist"),
    ("dogs", put("labels.csv", b"id,breed\n\xff\xfe,pug\n"), "is no readable CSV"),
    ("dogs", put("labels.csv", "id,breed\n"), "dogs has no row"),
]


def attempt(name, root):
    """Load and read all rows; return the refusal, or nothing."""
    try:
        source = READERS[name].load(root, side=8)
        for rows in (source.train, source.val, source.test):
            rows[:]
    except InputError as error:
        return str(error)
    return ""


def test_faults_are_one_line_and_write_nothing(tmp_path):
    for i, (name, edit, message) in enumerate(FAULTS):
        root = tmp_path / f"{name}{i}"
        root.mkdir()
        fixture.WRITERS[name](root)
        edit(root)
        told = attempt(name, root)
        assert re.search(message, told), (name, message, told)
        assert len(told.splitlines()) == 1
        if "published split" not in told:  # which is drawn when a converted file is loaded
            with pytest.raises(InputError):
                READERS[name].convert(root, tmp_path / "out.safetensors", side=8)
        assert [f.name for f in tmp_path.iterdir()] == [root.name], (name, message)
        shutil.rmtree(root)


def test_options_are_checked_before_files(tmp_path):
    for name in fixture.WRITERS:
        for options, message in (
            ({"side": 4}, "side is 4, expected"),
            ({"normalisation": "vit"}, "normalisation is 'vit'"),
            ({"seed": -1}, "seed is -1"),
        ):
            with pytest.raises(InputError, match=message):
                READERS[name].load(tmp_path, **options)
    for name, options in {
        "touch_and_go": {"task": "colour"},
        "ssvtp": {"missing": "ignore"},
        "tvl": {"rotate": 45},
        "feel": {"moment": "never"},
        "cifar": {"modality": "text"},
        "objectfolder_touch": {"version": "3.0"},
    }.items():
        with pytest.raises(InputError, match=f"{next(iter(options))} is"):
            READERS[name].load(tmp_path, **options)


def test_text_longer_than_the_context_and_ids_beside_a_tokeniser_are_named(tmp_path):
    fixture.touch100k(tmp_path)
    with pytest.raises(InputError, match="has 7 tokens, expected at most 5; shorten it"):
        READERS["touch100k"].load(tmp_path, side=8, tokenise=tokeniser("words", length=5))
    with pytest.raises(InputError, match=r"tokenise gives int64 of shape \(3,\)"):
        READERS["touch100k"].load(tmp_path, side=8, tokenise=lambda texts: np.arange(3))
    fixture.octopi(tmp_path)
    with pytest.raises(InputError, match="as ids of CLIP's tokens; leave it out"):
        READERS["octopi"].load(tmp_path, side=8, tokenise=tokeniser("words"))


def test_ssvtp_may_skip_what_is_missing(tmp_path):
    fixture.ssvtp(tmp_path)
    (tmp_path / "images_tac/image_2_tac.jpg").unlink()
    with pytest.raises(InputError, match="image_2_tac"):
        READERS["ssvtp"].load(tmp_path, side=8)
    assert len(READERS["ssvtp"].load(tmp_path, side=8, missing="skip").group) == 11


def test_swapped_touch_and_vision_of_tvl_are_noticed(tmp_path):
    fixture.tvl(tmp_path)
    assert not any("swapped" in line for line in READERS["tvl"].verify(tmp_path))
    for trial in (p.parent for p in list((tmp_path / "hct").rglob("vision"))):
        (trial / "vision").rename(trial / "x")
        (trial / "tactile").rename(trial / "vision")
        (trial / "x").rename(trial / "tactile")
    assert any("swapped" in line for line in READERS["tvl"].verify(tmp_path))


def test_converted_files_that_were_changed_are_refused(tmp_path):
    fixture.touch100k(tmp_path)
    file = READERS["touch100k"].convert(tmp_path, tmp_path / "a.safetensors", side=8)
    table = Table.open(file)
    columns = {k: np.array(v) for k, v in table.columns.items()}
    for change, message in (
        ({"target.sensor": np.full(10, 6)}, "classes or codes of sensor that are damaged"),
        ({"target.sensor": np.full(10, -2)}, "classes or codes of sensor"),
        ({"text.text": np.full((10, 3), 255, np.uint8)}, "text that is not UTF-8"),
        ({"present.touch": np.ones(10, np.uint8)}, "convert it again, or give its side"),
        ({"ids.text": np.full((10, 3), -1)}, "damaged ids of text"),
    ):
        bad = write_table(tmp_path / "b.safetensors", columns | change, about=table.about)
        with pytest.raises(InputError, match=message):
            READERS["touch100k"].load(bad, side=8)
    with pytest.raises(InputError, match="convert it again, or give its side"):
        READERS["touch100k"].load(file, side=16)
    (tmp_path / "feel").mkdir()
    fixture.feel(tmp_path / "feel")
    file = READERS["feel"].convert(tmp_path / "feel", tmp_path / "c.safetensors", side=8, moment="after")
    assert READERS["feel"].load(file, side=8, moment="after")
    (tmp_path / "tvl").mkdir()
    fixture.tvl(tmp_path / "tvl")
    whole = READERS["tvl"].convert(tmp_path / "tvl", tmp_path / "d.safetensors", side=8, not_contact=0)
    assert READERS["tvl"].load(whole, side=8, not_contact=0.0)
    with pytest.raises(InputError, match="was converted with moment 'after', not 'during'; convert it again"):
        READERS["feel"].load(file, side=8)


@pytest.mark.parametrize("name", sorted(fixture.WRITERS))
def test_damaged_trees_are_read_or_refused_in_one_line(name, tmp_path):
    """Cut, change, delete or replace one file at a time, lists more often than pictures."""
    fixture.WRITERS[name](tmp_path)
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    lists = [p for p in files if p.suffix not in PICTURES] or files
    outcomes = set()
    for number in range(40):
        rng = random.Random(number)
        victim = rng.choice(lists if rng.random() < 0.75 else files)
        good = victim.read_bytes()
        kind = rng.random()
        if kind < 0.1:
            victim.unlink()
        elif kind < 0.2:
            victim.write_bytes(
                rng.choice(
                    [b"", b"{}", b"[[]]", b'{"train": 3}', b'"a,b\n', b"a\0,1\n", b"[" * 9999, b"\n\n", b"a,b,c,d\n" * 3]
                )
            )
        else:
            victim.write_bytes(damaged(good, rng))
        told = attempt(name, tmp_path)
        assert len(told.splitlines()) <= 1
        outcomes.add("refused" if told else "read")
        victim.write_bytes(good)
    assert "refused" in outcomes
