"""Pictures are what an independent decoder reads, and pages hold no text that acts."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tuplet.report import Answers, Grid, Picture, Section, Sheet, Text, Tile, data_uri, write_page
from tuplet.types import InputError


def test_a_picture_is_read_back_by_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    content = base64.b64decode(data_uri(pixels).split(",")[1])
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), pixels)
    for wrong in (pixels[0], pixels.astype(float), pixels[:0]):
        with pytest.raises(InputError, match="expected uint8"):
            data_uri(wrong)


def test_a_page_escapes_all_text_and_needs_no_other_file(tmp_path):
    bad = '<script>alert("x")</script>'
    tile = Tile(data_uri(np.zeros((2, 2, 3), np.uint8)), bad, bad, right=True)
    sheets = [Sheet(bad, [(bad, bad, [tile])], tile)]
    parts = [
        bad,
        Text(bad),
        [bad],
        sheets,
        {bad: bad},
        {bad: [bad, bad]},
        Answers({bad: bad}),
        Picture(["<svg>"], bad, bad),
    ]
    grid = Grid([bad] * 3, [[bad] * 3], marks=[[""] * 3], folds=True, note=bad)
    section = Section(bad, [*parts, grid])
    text = write_page(tmp_path / "p.html", title=bad, lead=bad, name=bad, sections=[section]).read_text()
    assert "<script" not in text
    assert "http" not in text
    assert text.count('class="right"') == 2
    assert text.count("&lt;script") == 34


def test_empty_parts_and_sections_are_left_out(tmp_path):
    parts = ["", [], {}, Text(""), Picture(["", ""], "caption"), Grid(["a"], [])]
    sections = [Section("nothing", parts), Section("something", [*parts, Picture(["", "<svg>"])], minor=True)]
    text = write_page(tmp_path / "p.html", title="t", sections=sections).read_text()
    assert "nothing" not in text
    assert "<h3>something</h3>" in text
    assert text.count("<svg>") == text.count("<figure>") == 1
    assert "<p>" not in text


def test_one_table_is_text_markdown_csv_and_latex(tmp_path):
    grid = Grid(["name", "1 %"], [["a|b", "2 ± 1"], ["触", "10"]], marks=[["", "best up"], ["", "down"]], chance=True)
    assert grid.text().splitlines() == ["name    1 %", "a|b   2 ± 1", "触       10"]  # as wide as a terminal shows it
    assert grid.markdown("T").splitlines() == [
        *("T", "", "| name | 1 % |", "| --- | ---: |", r"| a\|b | **2 ± 1** ▲ |", "| 触 | 10 ▼ |")
    ]
    assert grid.csv() == "name,1 %\na|b,2 ± 1\n触,10\n"
    assert r"a|b & 2 $\pm$ 1 \\" in grid.latex("t_")
    assert r"\multicolumn{2}{l}{t\_}" in grid.latex("t_")
    page = write_page(tmp_path / "p.html", title="t", sections=[Section("", [grid])]).read_text()
    assert '<td class="best up">2 ± 1</td>' in page
    assert page.count('<tr class="chance">') == 1


def test_what_stands_between_back_ticks_is_code_and_everything_is_escaped(tmp_path):
    said = [("Why `<b>`?", "Run `tuplet sweep <my>`, then `report`; one ` alone stays."), ("So?", "``")]
    sections = [Section("t", [Answers(said), "so `d` & <e>", Grid(["a"], [["`b`"]], note="see `c`")])]
    page = write_page(tmp_path / "a.html", title="t", lead="`x`", sections=sections).read_text()
    assert "Run <code>tuplet sweep &lt;my&gt;</code>, then <code>report</code>; one ` alone stays." in page
    assert "<code>x</code>" in page
    assert "so <code>d</code> &amp; &lt;e&gt;" in page
    assert "see <code>c</code>" in page
    assert "<my>" not in page
