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
