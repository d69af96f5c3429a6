"""Pictures are what an independent decoder reads, and pages hold no text that acts."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tuplet.report import Section, Sheet, Table, Tile, data_uri, write_page
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
    section = Section(bad, [bad], [Sheet(bad, [(bad, bad, [tile])], tile)], Table([bad], [[bad]], bad))
    text = write_page(tmp_path / "p.html", title=bad, lead=bad, verdict=[(bad, bad)], sections=[section]).read_text()
    assert "<script" not in text
    assert "http" not in text
    assert text.count('class="right"') == 2


def test_what_stands_between_back_ticks_is_code_and_everything_is_escaped(tmp_path):
    said = [("Why `<b>`?", "Run `tuplet sweep <my>`, then `report`; one ` alone stays."), ("So?", "``")]
    table = Table(["a"], [["`b`"]], "see `c`")
    sections = [Section("t", ["so `d` & <e>"], table=table)]
    page = write_page(tmp_path / "a.html", title="t", lead="`x`", verdict=said, sections=sections).read_text()
    assert "Run <code>tuplet sweep &lt;my&gt;</code>, then <code>report</code>; one ` alone stays." in page
    assert "<code>x</code>" in page
    assert "so <code>d</code> &amp; &lt;e&gt;" in page
    assert "see <code>c</code>" in page
    assert "<my>" not in page
