"""No attack passes, and none does harm: as whoever runs the tests, and as an ordinary user where that is root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bon
from bon.sandbox import Backend, Sandbox
from bon.sandbox.choosing import pythons

sys.path.insert(0, str(Path(__file__).parent))
from attacks import ATTACKS, LIMITS, RIGHT, TESTS  # what also runs by itself, as another user

USER = 54321
"""An ordinary user, who has no other process."""
QUICK = (
    "an object that equals everything",
    "patched builtins",
    "sys.exit(0) when it loads",
    "os._exit(0) when it is called",
    "the success marker on stdout",
    "a report into every file descriptor",
    "a daemon",
    "memory at once",
    "endless output",
    "the network",
)


@pytest.fixture(scope="module")
def attacked(backend: Backend) -> Iterator[Sandbox]:
    with Sandbox(backend=backend, limits=LIMITS, workers=1) as sandbox:
        yield sandbox


def test_there_are_enough_of_them() -> None:
    assert len(ATTACKS) >= 40


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in ATTACKS])
def test_no_attack_passes(name: str, attacked: Sandbox, tmp_path: Path, descendants: Callable[[], list[int]]) -> None:
    tmp_path.chmod(0o777)
    (tmp_path / "ours").write_text("untouched")
    before = descendants()
    verdict = attacked.check(ATTACKS[name].program, TESTS)
    assert verdict.kind in ATTACKS[name].kinds, verdict.reason
    assert attacked.check(RIGHT, TESTS).kind == "pass"  # the sandbox is as good as before
    assert verdict.seconds < LIMITS.seconds + 10
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]
    assert (tmp_path / "ours").read_text() == "untouched"
    assert len(gone(descendants, before)) <= max(len(before), processes_of_tests(attacked))


@pytest.mark.slow
def test_no_attack_passes_as_an_ordinary_user(backend: Backend) -> None:
    if os.geteuid() != 0:
        pytest.skip("these tests run as an ordinary user already")
    python = next(iter(pythons()), None)
    if python is None or f"python{sysconfig.get_python_version()}" not in python.name:
        pytest.skip(f"needs a Python {sysconfig.get_python_version()} that any user may run")
    paths = [str(Path(bon.__file__).parents[1]), sysconfig.get_path("purelib")]
    done = subprocess.run(
        [
            *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
            *(str(python), str(Path(__file__).with_name("attacks.py")), backend.name, str(python)),
        ],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        cwd="/",
        check=False,
    )
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == [*ATTACKS]
    wrong = {name: kind for name, (kind, _, _) in found.items() if kind not in ATTACKS[name].kinds}
    assert not wrong
    assert {name for name, (_, _, after) in found.items() if after != "pass"} == set()
    assert not owned_by(USER)


def test_beside_a_python_in_a_home_nothing_of_the_home_is_seen(backend: Backend) -> None:
    """Where Python was installed into a home, as with --prefix=$HOME, the home is not opened with it."""
    asked = [str(backend.python), "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]
    library = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    if not library.is_relative_to("/usr"):
        pytest.skip(f"needs a Python whose library is in /usr, not {library}")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # /tmp is another one inside
        home = Path(folder)
        home.chmod(0o755)
        for name in ("bin", "lib", "lib/private"):
            (home / name).mkdir()
        python = home / "bin" / backend.python.name
        shutil.copy(backend.python, python)
        (home / "lib" / library.name).symlink_to(library)
        (home / "secret").write_text("canary")
        (home / "secret").chmod(0o644)
        program = (
            f"import sys, json\nprint(sys.executable, json.dumps(1))\nprint(open({str(home / 'secret')!r}).read())"
        )
        with Sandbox(backend=Backend(backend.name, python), limits=LIMITS, workers=1) as sandbox:
            output = sandbox.execute(program)
    assert output.stdout == f"{python} 1\n"
    assert output.kind == "fail"
    assert output.reason.startswith(("FileNotFoundError", "PermissionError"))


def gone(descendants: Callable[[], list[int]], before: list[int]) -> list[int]:
    """The processes that there still are, after a moment for those that are ending."""
    for _ in range(100):
        left = descendants()
        if len(left) <= len(before):
            return left
        time.sleep(0.02)
    return left


def processes_of_tests(sandbox: Sandbox) -> int:
    """How many processes stay for tests: under bubblewrap three a worker, its two and ours."""
    return 4 * sandbox.workers


def owned_by(user: int) -> list[str]:
    """The processes of a user, after a moment for those that are ending."""
    for _ in range(100):
        left = [str(path) for path in Path("/proc").glob("[0-9]*") if _runs_for(path, user)]
        if not left:
            return []
        time.sleep(0.02)
    return left


def _runs_for(path: Path, user: int) -> bool:
    try:
        return path.stat().st_uid == user and (path / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
