"""Attacks on a sandbox and on its verdicts: programs that do everything but what their tests ask, and what becomes of them.

Each has a function `double` that is wrong, or does harm, or both. Run as a program, this file runs them all and prints
what became of each as JSON: so that they can be run as another user.
"""

# ruff: noqa: E501  # programs are shown as they are
from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from bon.sandbox import Backend, Limits, Sandbox, Tests

sys.path.insert(0, str(Path(__file__).parent))
from subtler import SUBTLER  # it runs by itself, too

LIMITS = Limits(seconds=3.0, memory=192 << 20, output=256 << 10)
TESTS = Tests(texts=("assert double(2) == 4", "assert double(21) == 42\nassert double('ab') == 'abab'"))
RIGHT = "def double(x):\n    return 2 * x\n"


@dataclass(frozen=True)
class Attack:
    program: str
    kinds: tuple[str, ...] = ("fail",)
    """The verdicts that are right for it."""


WRONG = "\ndef double(x):\n    return None\n"
ENDED = ("crash", "fail", "timeout")

ATTACKS: dict[str, Attack] = {
    # verdicts: objects that lie
    "an object that equals everything": Attack(
        "class Yes:\n"
        "    def __eq__(self, other): return True\n"
        "    def __ne__(self, other): return False\n"
        "    def __hash__(self): return 0\n"
        "def double(x): return Yes()"
    ),
    "a list that equals everything": Attack(
        "class Yes(list):\n    def __eq__(self, other): return True\ndef double(x): return Yes([1])"
    ),
    "a number that equals everything": Attack(
        "class Yes(int):\n    def __eq__(self, other): return True\ndef double(x): return Yes(7)"
    ),
    "a text that equals everything, deep inside": Attack(
        "class Yes(str):\n    def __eq__(self, other): return True\n    __hash__ = str.__hash__\n"
        "def double(x): return [{'a': Yes('q')}]"
    ),
    "a class whose type says yes": Attack(
        "class Meta(type):\n    def __eq__(cls, other): return True\n    __hash__ = type.__hash__\n"
        "class Yes(metaclass=Meta): pass\ndef double(x): return Yes"
    ),
    "an object that claims another class": Attack(
        "class Yes:\n    __class__ = int\n    def __index__(self): return 4\n    def __eq__(self, o): return True\n"
        "def double(x): return Yes()"
    ),
    # verdicts: what judges is patched
    "patched builtins": Attack(
        "import builtins\nbuiltins.all = builtins.any = lambda *a: True\nbuiltins.AssertionError = type('A', (Exception,), {})"
        + WRONG
    ),
    "patched asserts": Attack(
        "import builtins, sys\nbuiltins.AssertionError = KeyboardInterrupt\nsys.excepthook = lambda *a: None\n"
        "sys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)" + WRONG
    ),
    "a patched codec": Attack(
        "import sys\ncodec = sys.modules['bon.sandbox.inside.codec']\nruns = sys.modules['bon.sandbox.inside.candidate']\n"
        "codec.encode = lambda value, **k: codec._Encoder(True).pieces or b'T' + bytes(4)\nruns.send = lambda *a, **k: None"
        + WRONG,
        ("fail", "timeout"),
    ),
    # verdicts: leaving early, as if all were well
    "sys.exit(0) when it loads": Attack("import sys\nsys.exit(0)"),
    "sys.exit(0) when it is called": Attack("import sys\ndef double(x): sys.exit(0)"),
    "os._exit(0) when it loads": Attack("import os\nos._exit(0)", ("crash",)),
    "os._exit(0) when it is called": Attack("import os\ndef double(x): os._exit(0)", ("crash",)),
    "an exit code of its own at exit": Attack("import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit"),
    "StopIteration": Attack("def double(x): raise StopIteration"),
    "GeneratorExit": Attack("def double(x): raise GeneratorExit"),
    "KeyboardInterrupt": Attack("def double(x): raise KeyboardInterrupt"),
    "an exception that is no Exception": Attack(
        "class Out(BaseException):\n    def __str__(self): raise self\ndef double(x): raise Out"
    ),
    "an AssertionError with a good word": Attack("def double(x): raise AssertionError('passed')"),
    # verdicts: forged messages
    "the success marker on stdout": Attack(
        "print('pass', 'OK', 'passed', '1.0', flush=True)\n"
        """print('{"parts":[true,true,true],"reason":"","gone":false,"memory":false,"trouble":""}', flush=True)""" + WRONG
    ),
    "a report into every file descriptor": Attack(
        "import os\n"
        """said = b'{"parts":[true,true,true],"reason":"","gone":false,"memory":false,"trouble":""}'\n"""
        "for fd in range(64):\n    try: os.write(fd, said)\n    except OSError: pass\nos._exit(0)",
        ("crash", "fail"),
    ),
    "answers before they are asked for": Attack(
        "import os, sys\nsend = sys.modules['bon.sandbox.inside.codec'].send\n"
        "for fd in range(3, 64):\n    for value in (None, 5, 5, 'x', 'y'):\n"
        "        try: send(fd, ('returned', value))\n        except OSError: pass" + WRONG,
        ("fail", "crash"),
    ),
    "a message of four gigabytes": Attack(
        "import os\ndef double(x):\n    for fd in range(3, 64):\n        try: os.write(fd, bytes([255]) * 4096)\n"
        "        except OSError: pass\n    os._exit(0)",
        ("fail", "crash"),
    ),
    "noise in the channel": Attack(
        "import os\ndef double(x):\n    for fd in range(3, 64):\n"
        "        try: os.write(fd, bytes([0, 0, 0, 9]) + b'lzzzzzzzz')\n        except OSError: pass\n    return 4",
        ("fail", "crash"),
    ),
    "an exception that is no exception, forged": Attack(
        "import sys\nsend = sys.modules['bon.sandbox.inside.codec'].send\ndef double(x):\n    for fd in range(3, 64):\n"
        "        try: send(fd, ('raised', ('SystemExit', 'BaseException'), '0'))\n        except OSError: pass\n    return 4",
        ("fail", "crash"),
    ),
    # verdicts: reading the tests
    "the tests in frames": Attack(
        "import sys\ndef double(x):\n    frame = sys._getframe()\n    while frame:\n"
        "        for held in (frame.f_locals, frame.f_globals):\n            for value in list(held.values()):\n"
        "                if isinstance(value, str) and 'elbuod tressa'[::-1] in value: return {2: 4, 21: 42}.get(x, x + x)\n"
        "        frame = frame.f_back\n    return None"
    ),
    "the tests in memory": Attack(
        "import gc\ndef double(x):\n    for thing in gc.get_objects():\n        try:\n"
        "            if isinstance(thing, (dict, list, tuple)) and 'elbuod tressa'[::-1] in str(thing)[:5000]: return x + x\n"
        "        except Exception: pass\n    return None"
    ),
    "the tests in /proc": Attack(
        "import glob\ndef double(x):\n    for path in glob.glob('/proc/[0-9]*/*'):\n        try:\n"
        "            if b'2(elbuod tressa'[::-1] in open(path, 'rb').read(1 << 16): return x + x\n"
        "        except OSError: pass\n    return None"
    ),
    "the tests in files": Attack(
        "import os\ndef double(x):\n    for top in ('/tmp', '/work', '/root', '/home', '/job', '/var', '/run'):\n"
        "        for folder, _, names in os.walk(top):\n            if names: return x + x\n    return None"
    ),
    "another process's memory": Attack(
        "import ctypes, os\nlibc = ctypes.CDLL(None)\ndef double(x):\n"
        "    if any(libc.ptrace(16, pid, 0, 0) == 0 for pid in (1, os.getppid())): return x + x\n    return None"
    ),
    # processes
    "a fork bomb": Attack("import os\nwhile True:\n    os.fork()" + WRONG, ENDED),
    "a fork bomb that survives errors": Attack(
        "import os\ndef double(x):\n    while True:\n        try: os.fork()\n        except OSError: pass", ("timeout",)
    ),
    "a shell": Attack("import os\ndef double(x): return 2 * x if os.system('true') == 0 else None"),
    "a subprocess": Attack("import subprocess\ndef double(x): return subprocess.run(['/bin/sleep', '600'])"),
    "a daemon": Attack(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(600)\n    os._exit(0)" + WRONG
    ),
    "another program in its place": Attack(
        "import os\ndef double(x): os.execv('/bin/sleep', ['sleep', '600'])", ("timeout", "fail")
    ),
    "a thread bomb": Attack(
        "import threading, time\nthreading.stack_size(65536)\nwhile True:\n"
        "    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()" + WRONG,
        ("fail", "memory", "timeout", "crash"),
    ),
    "threads that never end": Attack(
        "import threading, time\nfor _ in range(8): threading.Thread(target=time.sleep, args=(600,)).start()" + WRONG
    ),
    "killing everybody": Attack(
        "import os, signal\nfor pid in (-1, 1, os.getppid(), 0):\n    try: os.kill(pid, signal.SIGKILL)\n"
        "    except OSError: pass" + WRONG,
        ("fail", "crash"),
    ),
    "stopping itself": Attack("import os, signal\ndef double(x): os.kill(os.getpid(), signal.SIGSTOP)", ("timeout", "fail")),
    # time
    "sleep": Attack("import time\ndef double(x): time.sleep(600)", ("timeout",)),
    "sleep when it loads": Attack("import time\ntime.sleep(600)", ("timeout",)),
    "a busy loop": Attack("def double(x):\n    while True: pass", ("timeout",)),
    "a busy loop that ignores signals": Attack(
        "import signal\nfor number in range(1, 65):\n    try: signal.signal(number, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass",
        ("timeout",),
    ),
    "a computation that holds the interpreter": Attack("def double(x): return 7 ** (7 ** 12)", ("timeout", "memory", "fail")),
    "a regular expression that backtracks": Attack(
        "import re\ndef double(x): return re.match('(a+)+$', 'a' * 60 + 'b')", ("timeout",)
    ),
    "an input that never comes": Attack("def double(x): return input()"),
    # memory
    "memory at once": Attack("def double(x): return len(bytearray(1 << 34))", ("memory",)),
    "memory bit by bit": Attack("held = []\nwhile True: held.append(bytearray(1 << 20))" + WRONG, ("memory", "fail")),
    "memory that is mapped": Attack(
        "import mmap\nheld = []\nwhile True: held.append(mmap.mmap(-1, 1 << 24))" + WRONG, ("memory", "fail")
    ),
    "shared memory that no limit counts": Attack(
        "import ctypes, os\nlibc = ctypes.CDLL(None)\ndef double(x):\n"
        "    if libc.shmget(0, 1 << 20, 0o1600) >= 0: return 2 * x\n    os.memfd_create('x')\n    return 2 * x"
    ),
    "raised limits": Attack(
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))\n" + RIGHT
    ),
    "a stack that overflows": Attack(
        "import sys\nsys.setrecursionlimit(1 << 30)\ndef double(x): return double([x])", ("crash", "fail", "memory", "timeout")
    ),
    "a segmentation fault": Attack("import ctypes\ndef double(x): return ctypes.string_at(0)", ("crash",)),
    # output
    "endless output": Attack("while True: print('x' * 4096)", ("output",)),
    "endless errors": Attack("import sys\nwhile True: sys.stderr.write('x' * 4096)", ("output",)),
    "output without lines": Attack("import os\ndef double(x):\n    while True: os.write(1, b'x' * 65536)", ("output",)),
    # values
    "an endless iterator": Attack("import itertools\ndef double(x): return itertools.count()", ("fail", "timeout")),
    "a list in itself": Attack("held = []\nheld.append(held)\ndef double(x): return held"),
    "a value nested too deep": Attack("def double(x):\n    value = 4\n    for _ in range(100000): value = [value]\n    return value"),
    "a value too large": Attack("def double(x): return bytes(64 << 20)"),
    "a number of many digits": Attack("def double(x): return 1 << 200_000_000"),
    "keys that collide": Attack(
        "def double(x): return {(1 << 61) - 1 + ((1 << 61) - 1) * i for i in range(30000)}", ("fail", "timeout")
    ),
    # files
    "reading our files": Attack(
        "import os\ndef double(x):\n    for path in ('/etc/shadow', '/etc/passwd', '/root', '/home', '/var', '/proc/1/environ'):\n"
        "        try: os.listdir(path) if os.path.isdir(path) else open(path).read(); return 2 * x\n"
        "        except OSError: pass\n    return None"
    ),
    "writing to our files": Attack(
        "import os\ndef double(x):\n    for path in ('/', '/usr', '/usr/lib', '/dev', '/dev/shm', '/home', '/var/tmp', '/bin'):\n"
        "        try: open(path + '/bon-attack', 'w').close(); return 2 * x\n"
        "        except OSError: pass\n    return None"
    ),
    "changing modes, owners and times": Attack(
        "import os\ndef double(x):\n    for call in (lambda p: os.chmod(p, 0o777), lambda p: os.chown(p, 0, 0), os.utime):\n"
        "        for path in ('/usr', '/usr/bin/env', '/lib'):\n"
        "            try: call(path); return 2 * x\n            except OSError: pass\n    return None"
    ),
    "filling the disk": Attack(
        "def double(x):\n    for number in range(1000):\n        with open(f'/tmp/{number}', 'wb') as file: file.write(bytes(1 << 24))"
    ),
    "files without number": Attack(
        "def double(x):\n    held = [open('/dev/null') for _ in range(100000)]\n    return 2 * x"
    ),
    # network
    "the network": Attack(
        "import socket\ndef double(x):\n    for address in (('127.0.0.1', 22), ('1.1.1.1', 53), ('::1', 80)):\n"
        "        try: socket.create_connection(address, timeout=0.2); return 2 * x\n        except OSError: pass\n"
        "    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one: one.sendto(b'x', ('8.8.8.8', 53))\n    return 2 * x"
    ),
    # privileges
    "becoming root": Attack("import os\ndef double(x):\n    os.setuid(0)\n    return 2 * x"),
    "namespaces of its own": Attack(
        "import ctypes\nlibc = ctypes.CDLL(None)\ndef double(x):\n"
        "    flags = (0x10000000, 0x10000000 | 0x20000, 0x40000000)\n"
        "    return 2 * x if any(libc.unshare(flag) == 0 for flag in flags) else None"
    ),
    "mounting": Attack(
        "import ctypes\nlibc = ctypes.CDLL(None)\ndef double(x):\n"
        "    done = [libc.mount(b'none', b'/tmp', b'tmpfs', 0, b''), libc.mount(b'/usr', b'/tmp', b'', 4096, b''),\n"
        "            libc.umount2(b'/tmp', 2), libc.chroot(b'/tmp')]\n    return 2 * x if 0 in done else None"
    ),
    "calls by number": Attack(
        "import ctypes\ncall = ctypes.CDLL(None).syscall\ndef double(x):\n"
        "    numbers = (425, 321, 298, 323, 250, 310, 101, 0x40000000 + 39, 435, 463, 1000)\n"
        "    return 2 * x if any(call(number, 0, 0, 0, 0, 0) >= 0 for number in numbers) else None"
    ),
}  # fmt: skip

ATTACKS |= {name: Attack(program, kinds) for name, (program, kinds) in SUBTLER.items()}


def main() -> None:
    backends = {"bubblewrap": "bubblewrap", "landlock": "landlock"}
    backend = Backend(backends[sys.argv[1]], Path(sys.argv[2]))  # type: ignore[arg-type]
    names = sys.argv[3:] or [*ATTACKS]
    found = {}
    with Sandbox(limits=LIMITS, workers=1, backend=backend) as sandbox:
        for name in names:
            verdict = sandbox.check(ATTACKS[name].program, TESTS)
            found[name] = [verdict.kind, verdict.reason, sandbox.check(RIGHT, TESTS).kind]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
