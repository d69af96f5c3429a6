"""Towers of a model as files of their own, ONNX or ``torch.export``: raw rows in, unit vectors out, checked before kept."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tuplet.io import fresh, safe_name, write_atomic
from tuplet.model._scaled import Scaled, sample
from tuplet.model.alignment import AlignmentModel
from tuplet.types import InputError, evaluating, importing, one_of, some_of

Format = Literal["onnx", "torch"]
Run = Callable[[NDArray[np.float32]], Any]
ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}
NEAR = 1e-5
"""Largest difference of a number of a unit vector between a file and the model."""
ROWS = (3, 1, 7)
"""Numbers of random rows that a file is made and checked with."""


def export(
    model: AlignmentModel,
    out: str | Path,
    *,
    format: Format = "onnx",
    modalities: Sequence[str] | None = None,
    force: bool = False,
) -> dict[str, Path]:
    """Write one file per modality that turns raw rows into vectors without this package.

    Args:
        model: knows how its rows were scaled, as after `tuplet.fit` and `tuplet.load`.
        out: folder to write.
        format: ``"onnx"`` (needs tuplet[export]) or ``"torch"``, a ``.pt2`` file of ``torch.export``.
        modalities: those to write; all when left out.
        force: replace a folder that exists.

    Returns:
        Modality -> file. ``towers.json`` beside them says what each one reads: raw rows, float32 ``(n, ...)``, before any
        scaling, none of them absent; of text, the 1,024 numbers that `model.preprocessing[name].apply(texts)` gives.

    Raises:
        InputError: if a tower cannot be written, or its file gives other vectors than `AlignmentModel.encode` does on random
            rows (more than 1e-5 in a number); nothing is written then.

    Example:
        >>> import tempfile
        >>> from tuplet.data import from_arrays
        >>> x = np.random.default_rng(0).normal(size=(20, 3))
        >>> model = AlignmentModel.for_source(from_arrays({"a": x, "b": x}), dim=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [file.name for file in export(model, f"{folder}/towers", format="torch", modalities=["a"]).values()]
        ['a.pt2']
    """
    one_of("format", format, tuple(ENDINGS))
    folder, names = Path(out), list(model.encoders) if modalities is None else list(modalities)
    some_of("modalities", names, sorted(model.encoders))
    if folder.exists() and not force:
        raise InputError(f"out {folder} exists; choose another name, or replace it with --force (force=True)")
    if format == "onnx":
        with importing("format is 'onnx', which needs {package}; run pip install 'tuplet[export]', or give --format torch"):
            import onnx  # noqa: F401
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
    with evaluating(model):
        contents = {k: _made(model, k, format) for k in names}
    if force:
        fresh(folder)
    files = {k: folder / (safe_name(k) + ENDINGS[format]) for k in names}
    about = {}
    for name, file in files.items():
        write_atomic(file, contents[name])
        how = model.preprocessing[name].modality
        shape = list(sample(model, name, 1)[1].shape[1:])
        about[name] = {"file": file.name, "input": shape, "kind": how.kind, "unit": how.unit}
    write_atomic(folder / "towers.json", json.dumps(about, ensure_ascii=False, indent=2).encode())
    return files


@torch.no_grad()
def _made(model: AlignmentModel, name: str, format: Format) -> bytes:
    """Make the file of one tower, and check it on random rows."""
    rest = [k for k in model.encoders if k != name]
    fix = f"leave it out with --modalities {' '.join(rest)} (modalities=)"
    how = model.preprocessing.get(name)
    if how is None:
        raise InputError(f"{name} cannot be exported: the model does not know how its rows were scaled; {fix}")
    if how.tower is not None:
        raise InputError(f"{name} cannot be exported: its rows pass the frozen tower {how.tower.path} first; {fix}")
    if model.takes_aux(name):
        raise InputError(f"{name} cannot be exported: its encoder reads the sensor of a row beside the row; {fix}")
    try:
        given = [sample(model, name, n) for n in ROWS]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = torch.from_numpy(given[0][1])
            program = torch.export.export(Scaled(model, name), (rows,), dynamic_shapes=({0: torch.export.Dim("n", min=1)},))
            content, run = _onnx(program) if format == "onnx" else _torch(program)
            seen = [run(x) for _, x in given]
    except Exception as error:  # whatever a compiler finds in a module
        said = " ".join(str(error).split())[:160]
        raise InputError(f"{name} cannot be exported ({type(error).__name__}: {said}); {fix}") from None
    for (raw, _), z in zip(given, seen, strict=True):
        wanted = model.encode({name: raw})[name]
        far = float(np.abs(np.asarray(z) - wanted).max()) if z.shape == wanted.shape else np.inf
        if not far <= NEAR:
            raise InputError(f"{name} cannot be exported: its file differs from the model by {far:.0e} on random rows; {fix}")
    return content


def _torch(program: Any) -> tuple[bytes, Run]:
    """Write a program as the bytes of a ``.pt2`` file; it is run as it is, since reading one back may unpickle."""
    file = io.BytesIO()
    torch.export.save(program, file)
    module = program.module()
    return file.getvalue(), lambda x: module(torch.from_numpy(x)).numpy()


def _onnx(program: Any) -> tuple[bytes, Run]:
    """Translate a program to ONNX, and run the bytes."""
    import onnxruntime

    made = torch.onnx.export(program, dynamo=True, verbose=False, input_names=["rows"], output_names=["vectors"])
    assert made is not None
    content: bytes = made.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda x: session.run(None, {session.get_inputs()[0].name: x})[0]
