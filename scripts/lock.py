"""Prints constraints.txt: the versions installed here, without local parts and without index addresses."""

from __future__ import annotations

import re
from importlib.metadata import distributions

OURS_AND_INSTALLERS = {"bon", "pip", "setuptools", "wheel"}

print("# The versions bon is tested with. Made by `make lock`.")
for name, version in sorted(
    {re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower(): d.version for d in distributions()}.items()
):
    if name not in OURS_AND_INSTALLERS:
        print(f"{name}=={version.partition('+')[0]}")
