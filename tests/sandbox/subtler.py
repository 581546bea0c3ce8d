"""Subtler attacks: values that lie in each type, a runner taken over from inside, and ways past files and namespaces.

Each is a program with a function `double` that is wrong, or does harm, and the verdicts that are right for it.
"""

# ruff: noqa: E501, ISC004  # programs are shown as they are
from __future__ import annotations

__all__ = ["SUBTLER"]

WRONG = "\ndef double(x):\n    return None\n"
_CALL = "import ctypes\ncall = ctypes.CDLL(None, use_errno=True).syscall\n"

SUBTLER: dict[str, tuple[str, tuple[str, ...]]] = {
    # values: a subclass of each type that crosses, with everything overridden that comparing could ask
    "a float that equals everything": (
        "class Yes(float):\n    __eq__ = __ge__ = __le__ = __bool__ = lambda self, *o: True\n    hex = lambda self: '0x1p2'\n"
        "    __hash__ = float.__hash__\ndef double(x): return Yes('nan')",
        ("fail",),
    ),
    "bytes, a dict and a set that equal everything": (
        "def lying(kind):\n    return type('Yes', (kind,), {'__eq__': lambda s, o: True, '__hash__': lambda s: 0, 'items': lambda s: [(4, 4)],\n"
        "        '__iter__': lambda s: iter([4]), '__bytes__': lambda s: b'abab', '__len__': lambda s: 4})()\n"
        "kinds = [bytes, dict, set, frozenset, tuple, list]\ndef double(x): return lying(kinds.pop())",
        ("fail",),
    ),
    "a complex number whose parts lie": (
        "class Yes(complex):\n    real = imag = property(lambda self: self)\n    __eq__ = lambda self, other: True\n"
        "    __hash__ = complex.__hash__\ndef double(x): return Yes(7)",
        ("fail",),
    ),
    "an integer whose sign and index lie": (
        "class Yes(int):\n    __ge__ = __eq__ = lambda self, other: True\n    __index__ = __int__ = __neg__ = lambda self: 4\n"
        "    __hash__ = int.__hash__\ndef double(x): return Yes(-5)",
        ("fail",),
    ),
    "a list that changes while it crosses": (
        "class Yes(list):\n    def __iter__(self):\n        self.clear(); yield 4\n    def __len__(self): return 1\n"
        "def double(x): return Yes([5, 6])",
        ("fail",),
    ),
    "an iterator that calls the runner": (
        "import sys\ndef double(x):\n    def items():\n        sys.modules['bon.sandbox.inside.candidate'].send(3, ('returned', 5)); yield 7\n"
        "    return items()",
        ("fail", "crash", "timeout"),
    ),
    "an unittest.mock object": (
        "from unittest.mock import MagicMock, ANY\ndef double(x): return ANY if x == 2 else MagicMock(__eq__=lambda s, o: True)",
        ("fail",),
    ),
    "a pickle that would run a program": (
        "import pickle, os\nclass Run:\n    def __reduce__(self): return (os._exit, (0,))\ndef double(x): return pickle.dumps(Run())",
        ("fail",),
    ),
    "an object whose attributes are other tests' answers": (
        "class Yes:\n    def __getattr__(self, name): return lambda *a, **k: True\ndef double(x): return Yes()",
        ("fail",),
    ),
    # the runner, from inside
    "builtins replaced under the runner": (
        "import builtins, sys\nbuiltins.isinstance = lambda *a: True\nbuiltins.len = lambda x: 1\nbuiltins.type = lambda *a: int\n"
        "for name, module in list(sys.modules.items()):\n    if name.startswith('bon'): module.__dict__['__builtins__'] = {'isinstance': lambda *a: True}" + WRONG,
        ("fail", "timeout", "crash"),
    ),
    "__builtins__ of its own": (
        "__builtins__ = {'AssertionError': Exception, 'bool': lambda x: True, '__import__': __import__, '__build_class__': __build_class__}" + WRONG,
        ("fail",),
    ),
    "import hooks": (
        "import sys\nclass Hook:\n    def find_spec(self, name, path=None, target=None): raise SystemExit(0)\nsys.meta_path.insert(0, Hook())\n"
        "sys.path_hooks.clear(); sys.modules.clear()" + WRONG,
        ("fail", "crash", "timeout"),
    ),
    "a trace function that rewrites what is returned": (
        "import sys\ndef trace(frame, event, arg):\n    if event == 'return': frame.f_locals['value'] = 4\n    frame.f_trace = trace\n    return trace\n"
        "sys.settrace(trace); sys._getframe(1).f_trace = trace" + WRONG,
        ("fail",),
    ),
    "a signal handler that answers": (
        "import os, signal, sys\nsend = sys.modules['bon.sandbox.inside.codec'].send\n"
        "def answer(*_):\n    for fd in range(3, 9):\n        try: send(fd, ('returned', True))\n        except OSError: pass\n"
        "signal.signal(signal.SIGALRM, answer); signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)" + WRONG,
        ("fail", "crash", "timeout"),
    ),
    "threads that go on answering": (
        "import sys, threading\nsend = sys.modules['bon.sandbox.inside.codec'].send\ndef answer():\n    while True:\n"
        "        for fd in range(3, 9):\n            try: send(fd, ('returned', True))\n            except OSError: pass\n"
        "for _ in range(4): threading.Thread(target=answer, daemon=True).start()" + WRONG,
        ("fail", "crash", "timeout"),
    ),
    "the channel closed, and on it goes": (
        "import os, time\ndef double(x):\n    for fd in range(3, 64):\n        try: os.close(fd)\n        except OSError: pass\n    time.sleep(600)",
        ("crash", "timeout"),
    ),
    "small numbers rewritten in memory": (
        "import ctypes\ndef double(x):\n    ctypes.memset(id(5) + 24, 4, 1)\n    return 5 if x == 2 else 43",
        ("fail", "crash"),
    ),
    "an answer with objects that nobody has": (
        "import os, struct\nframe = b't' + struct.pack('>I', 2) + b's' + struct.pack('>I', 8) + b'returned' + b'k' + struct.pack('>I', 1) + b'i' + struct.pack('>I', 1) + b'0'\n"
        "def double(x):\n    for fd in range(3, 9):\n        try: os.write(fd, struct.pack('>I', len(frame)) + frame)\n        except OSError: pass\n    return None",
        ("fail", "crash"),
    ),
    "a set and a dict of what cannot be in them": (
        "import os, struct\nunit = b'l' + struct.pack('>I', 0)\nframe = b't' + struct.pack('>I', 2) + b's' + struct.pack('>I', 8) + b'returned' + b'e' + struct.pack('>I', 1) + unit\n"
        "def double(x):\n    for fd in range(3, 9):\n        try: os.write(fd, struct.pack('>I', len(frame)) + frame)\n        except OSError: pass\n    return None",
        ("fail", "crash"),
    ),
    "a crash while it answers": (
        "import os\nclass Out:\n    def __bool__(self): os._exit(0)\ndef double(x): return Out()",
        ("crash",),
    ),
    "memory that ends in another's name": (
        "def double(x): raise type('MemoryError', (AssertionError,), {})('enough')",
        ("memory", "fail"),
    ),
    # other processes and what was inherited
    "memory through /proc/self/mem and the parent's": (
        "import os\ndef double(x):\n    for pid in ('self', '1', str(os.getppid())):\n        try: open(f'/proc/{pid}/mem', 'r+b'); return 2 * x\n"
        "        except OSError: pass\n    return None",
        ("fail",),
    ),
    "descriptors that were left open": (
        "import os, stat\ndef double(x):\n    left = []\n    for fd in range(3, 1024):\n        try: left.append(stat.S_IFMT(os.fstat(fd).st_mode))\n"
        "        except OSError: pass\n    return 2 * x if left != [stat.S_IFSOCK] else None",
        ("fail",),
    ),
    "reading another process's memory": (
        _CALL + "import os\nbuffer = ctypes.create_string_buffer(64)\ndef double(x):\n    local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 64)\n"
        "    remote = (ctypes.c_size_t * 2)(id(x), 64)\n"
        "    return 2 * x if any(call(310, pid, local, 1, remote, 1, 0) > 0 for pid in (1, os.getppid())) else None",
        ("fail",),
    ),
    "signals sent by the kernel for it": (
        "import fcntl, os, signal\ndef double(x):\n    reading, writing = os.pipe()\n    fcntl.fcntl(reading, 8, os.getppid() or 1)\n"
        "    fcntl.fcntl(reading, 10, signal.SIGKILL)\n    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)\n    os.write(writing, b'x')\n    return 2 * x",
        ("fail",),
    ),
    "signals sent by the channel for it": (
        "import fcntl, os, struct\ndef double(x):\n    done = 0\n    for fd in range(0, 9):\n        for command in (0x8901, 0x8902):\n"
        "            try: fcntl.ioctl(fd, command, struct.pack('i', os.getppid() or 1)); done += 1\n            except OSError: pass\n"
        "    return 2 * x if done else None",
        ("fail",),
    ),
    # sockets that no namespace keeps
    "the host of a virtual machine": (
        "import errno, socket\ndef double(x):\n    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as one:\n        one.settimeout(0.5)\n"
        "        try: one.connect((2, 22))\n        except OSError as error:\n            if error.errno == errno.EPERM: raise\n    return 2 * x",
        ("fail",),
    ),
    "the kernel's own sockets": (
        "import socket\ndef double(x):\n    for family, kind in ((16, 3), (17, 3), (38, 5), (1, 1), (1, 2)):\n        try: socket.socket(family, kind, 0); return 2 * x\n"
        "        except OSError: pass\n    return None",
        ("fail",),
    ),
    "datagrams to whoever has a name": (
        "import socket\ndef double(x):\n    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n    for name in ('/dev/log', '/run/systemd/notify', '\\0x'):\n"
        "        try: one.sendto(b'x', name)\n        except OSError: pass\n    return 2 * x",
        ("fail",),
    ),
    # what no rlimit counts
    "files without content": (
        "import os\ndef double(x):\n    number = 0\n    while True:\n        os.close(os.open(f'/tmp/{number}', os.O_CREAT)); number += 1",
        ("memory", "fail"),
    ),
    "links without end": (
        "import os\ndef double(x):\n    os.mkdir('/tmp/a')\n    open('/tmp/b', 'w').close()\n    number = 0\n    while True:\n        os.link('/tmp/b', f'/tmp/a/{number}'); number += 1",
        ("memory", "fail", "timeout"),
    ),
    "folders in folders": (
        "import os\nos.chdir('/tmp')\ndef double(x):\n    while True:\n        os.mkdir('x' * 200); os.chdir('x' * 200)",
        ("memory", "fail"),
    ),
    "the whole machine's disks flushed": ("import os\ndef double(x):\n    call = " + "__import__('ctypes').CDLL(None).syscall\n    return 2 * x if call(306, 0) == 0 else None", ("fail",)),
    "a random device drained and written": (
        "def double(x):\n    with open('/dev/urandom', 'wb', buffering=0) as file: file.write(b'x' * 64)\n    with open('/dev/urandom', 'rb') as file: file.read(1 << 30)",
        ("memory", "fail"),
    ),
}  # fmt: skip
