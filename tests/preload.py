"""What the process imports from which the workers of runs are forked that tests start in their own process."""

import bench.runs.preload  # noqa: F401 - all that a user's workers have, too
from tests.less import measure_less

measure_less()
