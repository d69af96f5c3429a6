"""Whole methods of papers on one base model: towers in; model, objective and training settings out."""

from tuplet.methods._any_touch import any_touch
from tuplet.methods._tlv_core import tlv_core
from tuplet.methods._tlv_link import tlv_link
from tuplet.methods._uni_touch import uni_touch
from tuplet.methods._vit_lens import vit_lens

__all__ = ["any_touch", "tlv_core", "tlv_link", "uni_touch", "vit_lens"]
