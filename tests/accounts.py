"""Accounts of our contestants, made once in a session of tests: they depend on nothing but what they are asked.

An account of a UNet takes seconds at any scale, and every run makes two. `account` itself is tested in tests/cost.
"""

import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from bench.config import MATCHED, Recipe
from bench.contestants import is_ours
from bench.cost.account import Setting, account

FOLDER = "BENCH_TESTS_ACCOUNTS"  # where they lie, for all processes of the session


def remembered_account(name: str, setting: Setting, recipe: Recipe = MATCHED) -> dict[str, Any]:
    """What `account` says, or has said in another process; of a plug-in, which may change, always anew."""
    if not is_ours(name) or FOLDER not in os.environ:
        return account(name, setting, recipe)
    digest = hashlib.sha256(repr((name, setting, recipe)).encode()).hexdigest()
    with (Path(os.environ[FOLDER]) / f"{digest}.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if not (known := file.read()):
            known = json.dumps(account(name, setting, recipe))
            file.write(known)
    return json.loads(known)
