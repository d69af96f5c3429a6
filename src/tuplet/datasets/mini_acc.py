"""miniACC: five measurements of 92 patients with adrenocortical carcinoma, many of whom lack some (TCGA).

The file ``miniACC.RData`` lies in the package r-bioc-multiassayexperiment of Debian (1.24.0+dfsg-2, Artistic-2.0): install
it, or ``apt-get download`` it, unpack it by ``dpkg-deb -x`` and give the folder or the file. It needs
``pip install 'tuplet[omics]'``: rdata reads the file as a tree, and the functions in it never run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data import Source, from_columns
from tuplet.datasets._files import contents, unpacked
from tuplet.datasets._reader import Content, Needed, Reader, whole
from tuplet.types import InputError, importing

FILE = "miniACC.RData"
INSTALLED = Path("/usr/lib/R/site-library/MultiAssayExperiment")
ASSAYS = {
    "RNASeq2GeneNorm": "rna",
    "gistict": "copies",
    "RPPAArray": "protein",
    "Mutations": "mutations",
    "miRNASeqGene": "mirna",
}
CLASSES = {"stage": ("stage i", "stage ii", "stage iii", "stage iv"), "vital_status": ("alive", "dead")}
NEEDED: Needed = (
    {f"input.{k}": ("f", (None,)) for k in ASSAYS.values()}
    | {f"present.{k}": ("b", ()) for k in ASSAYS.values()}
    | {f"target.{k}": ("i", ()) for k in CLASSES}
)
ABOUT = {
    "name": "mini_acc",
    "title": "miniACC: adrenocortical carcinoma in five assays",
    "citation": (
        "M. Ramos et al., Software for the integration of multiomics experiments in Bioconductor, Cancer Research 77(21), 2017;"
        " S. Zheng et al., Comprehensive pan-genomic characterization of adrenocortical carcinoma, Cancer Cell 29(5), 2016"
    ),
    "licence": "Artistic-2.0 (package MultiAssayExperiment)",
    "unit.rna": "log2(1 + normalised count)",
    "unit.copies": "copy number: -2 .. 2",
    "unit.protein": "antibody signal, scaled",
    "unit.mutations": "1 where the gene has a mutation",
    "unit.mirna": "log2(1 + count)",
}


def read(root: Path | None = None) -> Content:
    """Read the five tables, one row per patient; rows of a patient whom an assay lacks are 0."""
    root = INSTALLED if root is None else root
    file = root if root.is_file() else next(root.rglob(FILE), root / FILE)
    content = unpacked(contents(file, f"give the folder of {FILE} as root"), file)
    with importing(f"{FILE} needs rdata; pip install 'tuplet[omics]'"):
        import rdata
    try:
        held = _attributes(_pairs(rdata.parser.parse_data(content).object)["miniACC"])
        columns = _columns(held)
    except Exception as error:  # the library raises what its reader meets, and the tree may be any
        why = f"{type(error).__name__}: {str(error)[:80]!a}"
        raise InputError(f"{file} holds no MultiAssayExperiment as miniACC is one ({why}); copy it again") from None
    return Content(columns, ABOUT)


def load(root: str | Path | None = None, *, seed: int = 0) -> Source:
    """Load five assays of every patient, split 60 / 20 / 20 by stage.

    Args:
        root: as above, or a file that `Reader.convert` wrote.
        seed: of the split.

    Returns:
        92 rows of ``rna`` (198, 79 present), ``copies`` (198, 90), ``protein`` (33, 46), ``mutations`` (97, 90) and ``mirna``
        (471, 80); targets ``stage`` (4, two patients without) and ``vital_status`` (2).

    Raises:
        InputError: without the extra ``omics``, or for a file that is absent, damaged or of another form.

    Notes:
        The logarithms of both counts are this library's.

    Source:
        M. Ramos et al., 2017.

    Example:
        >>> load("no")
        Traceback (most recent call last):
        tuplet.types.InputError: no/miniACC.RData cannot be read (No such file or directory); ...
    """
    content = whole(root, ABOUT, NEEDED, read)
    columns = content.columns
    targets = {}
    for k, names in CLASSES.items():
        codes = columns[f"target.{k}"]
        if not np.isin(codes, range(-1, len(names))).all():
            raise InputError(f"{k} has codes outside -1 .. {len(names) - 1}; convert it again")
        targets[k] = np.array([*names, None], dtype=object)[codes]
    return from_columns(
        {k: columns[f"input.{k}"] for k in ASSAYS.values()},
        targets=targets,
        present={k: columns[f"present.{k}"] for k in ASSAYS.values()},
        seed=seed,
        units=content.units(ASSAYS.values()),
        **content.identity("mini_acc", "Debian package r-bioc-multiassayexperiment 1.24.0+dfsg-2"),
    )


def _columns(held: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Bring what the file holds to one row per patient."""
    clinical = _attributes(held["colData"])
    patients, table = _texts(clinical["rownames"]), _listed(clinical["listData"])
    links = _listed(_attributes(held["sampleMap"])["listData"])
    assays = _texts(_attributes(links["assay"])["levels"])
    found = zip(links["assay"].value, _texts(links["colname"]), _texts(links["primary"]), strict=True)
    owner = {(assays[i - 1], sample): patients.index(patient) for i, sample, patient in found}
    columns: dict[str, NDArray[Any]] = {}
    for name, node in _listed(_attributes(held["ExperimentList"])["listData"]).items():
        about = _attributes(node)
        if "assays" in about:  # a SummarizedExperiment keeps its table in an environment
            inner = _attributes(about["assays"])[".xData"].value
            frame = _pairs(inner.frame)
            for bucket in inner.hash_table.value or ():
                frame |= _pairs(bucket)
            node = _attributes(frame[".->data"])["listData"].value[0]
            about = _attributes(node)
        values = np.asarray(node.value, dtype=np.float64).reshape(tuple(about["dim"].value), order="F").T  # samples first
        values = np.log2(1 + values) if name in ("RNASeq2GeneNorm", "miRNASeqGene") else values
        rows = [owner[name, sample] for sample in _texts(about["dimnames"].value[1])]
        if not np.isfinite(values).all() or len(set(rows)) < len(rows):
            raise ValueError(f"{name} has values that are not finite, or a patient twice")
        whole, here = np.zeros((len(patients), values.shape[1]), np.float32), np.zeros(len(patients), bool)
        whole[rows], here[rows] = values, True
        columns |= {f"input.{ASSAYS[name]}": whole, f"present.{ASSAYS[name]}": here}
    stages = {v: i for i, v in enumerate(CLASSES["stage"])} | {None: -1}
    columns["target.stage"] = np.array([stages[v] for v in _texts(table["pathologic_stage"])], np.int64)
    columns["target.vital_status"] = np.asarray(table["vital_status"].value, dtype=np.int64)
    return {k: columns[k] for k in NEEDED}


def _pairs(node: Any) -> dict[str, Any]:
    """Return a list of R as name -> node."""
    out = {}
    while node is not None and node.info.type.name == "LIST":
        tag = node.tag if node.tag.value is not None else node.tag.referenced_object
        out[_text(tag.value)], (_, node) = node.value[0], node.value
    return out


def _attributes(node: Any) -> dict[str, Any]:
    return _pairs(node.attributes)


def _listed(node: Any) -> dict[Any, Any]:
    """Return a vector of nodes by their names."""
    return dict(zip(_texts(_attributes(node)["names"]), node.value, strict=True))


def _text(node: Any) -> Any:
    return None if node.value is None else node.value.decode()


def _texts(node: Any) -> list[Any]:
    return [_text(v) for v in node.value]


def _report(root: Path) -> list[str]:
    columns = read(root).columns
    return [
        f"{len(columns['target.stage'])} patients; published: 92",
        *(f"{k}: {columns[f'present.{k}'].sum()} patients, {columns[f'input.{k}'].shape[1]} columns" for k in ASSAYS.values()),
    ]


READER = Reader(load, read, _report, __doc__)
