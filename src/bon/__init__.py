"""bon: sample N, score, keep the best. Names are loaded when they are first used, so that `import bon` stays fast."""

from __future__ import annotations
