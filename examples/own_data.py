"""Your own paired arrays: align them, see which modalities tell the label, retrieve one from the others.

python examples/own_data.py
"""

import numpy as np

import tuplet

rng = np.random.default_rng(0)
n = 600
hidden = rng.normal(size=(n, 4))  # what all sensors see
force = hidden @ rng.normal(size=(4, 6)) + 0.3 * rng.normal(size=(n, 6))
sound = np.tanh(hidden @ rng.normal(size=(4, 20))) + 0.3 * rng.normal(size=(n, 20))
pose = hidden[:, :2] + 0.1 * rng.normal(size=(n, 2))
pose[::10] = np.nan  # the tracker lost every tenth row: a row of NaN is a missing row
label = (hidden[:, 0] > 0).astype(int)
subject = np.arange(n) // 20  # rows of one subject stay in one part of the split

source = tuplet.data.from_arrays(
    {"force": force, "sound": sound, "pose": pose},
    targets={"label": label},
    split=tuplet.data.split_rows(n, labels=label, group=subject),
    units={"force": "N"},
)
model = tuplet.AlignmentModel.mlp({name: m.shape for name, m in source.modalities.items()}, dim=16)
objective = tuplet.objectives.OneVsAll(tau=0.1)
run = tuplet.fit(model, objective, train=source.train, val=source.val, config=tuplet.TrainConfig(epochs=20))
print(f"loss {run.history[0]['loss']:.2f} -> {run.history[-1]['loss']:.2f} in {run.seconds:.1f} s")

print(tuplet.evaluate.summary(tuplet.evaluate.evaluate(model, objective, source)))
