"""What `tests.starter` loads once for all processes that it starts."""

from tuplet.train._runtime import fabric

fabric()
