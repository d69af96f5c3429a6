"""What `tests.starter` loads once for all processes that it starts."""

from tuplet.train import TrainConfig
from tuplet.train._runtime import Runtime

Runtime(TrainConfig(accelerator="cpu"))
