"""Filters of system calls, as the kernel wants them: what no program in a sandbox may ask for; it installs nothing.

Classic BPF, put together here, so that no library is needed. Numbers are of x86-64 and of AArch64 (the generic table).
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

__all__ = ["program", "supported"]

_ARCHITECTURES: Mapping[str, tuple[int, int]] = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""Machine -> (its AUDIT_ARCH number, its column below)."""
_NONE = -1

_DENIED: Mapping[str, tuple[int, int]] = {
    # the memory and the files of other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "process_madvise": (440, 440),
    # sockets: namespaces keep most kinds apart, but not those that reach the host of a virtual machine (AF_VSOCK)
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    # memory that no rlimit counts
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "mlockall": (151, 230),
    "io_setup": (206, 0),
    # wide doors into the kernel
    "io_uring_setup": (425, 425), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "fanotify_init": (300, 262),
    "inotify_init1": (294, 26), "inotify_init": (253, _NONE), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "personality": (135, 92), "syslog": (103, 116), "modify_ldt": (154, _NONE),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    # the machine itself
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89),
    "quotactl": (179, 60), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "sethostname": (170, 161), "setdomainname": (171, 162), "sync": (162, 81), "syncfs": (306, 267),
    "statmount": (457, 457), "listmount": (458, 458),
}  # fmt: skip
_PROCESSES: Mapping[str, tuple[int, int]] = {"fork": (57, _NONE), "vfork": (58, _NONE)}
_ALONE: Mapping[str, tuple[int, int]] = {
    # what namespaces would have kept apart: other processes, other programs
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "execve": (59, 221), "execveat": (322, 281), "setpriority": (141, 140),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122), "ioprio_set": (251, 30), "setsid": (112, 157), "setpgid": (109, 154),
    "migrate_pages": (256, 238), "move_pages": (279, 239),
    # what Landlock leaves open: owners, modes, times and attributes of files
    "chmod": (90, _NONE), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, _NONE),
    "fchown": (93, 55), "lchown": (94, _NONE), "fchownat": (260, 54), "utime": (132, _NONE), "utimes": (235, _NONE),
    "futimesat": (261, _NONE), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip
_CLONE, _CLONE3, _PRLIMIT, _SOCKETPAIR = (56, 220), (435, 435), (302, 261), (53, 199)
_COMMANDS: Sequence[tuple[tuple[int, int], tuple[int, ...]]] = (
    ((72, 25), (8, 15)),  # fcntl: F_SETOWN and F_SETOWN_EX have the kernel send signals to any process of the user
    ((16, 29), (0x8901, 0x8902, 0x5412, 0x541C)),  # ioctl: FIOSETOWN, SIOCSPGRP; TIOCSTI and TIOCLINUX type for others
)
"""Calls whose second argument says what they do, and what of that is denied."""
_STREAM, _KIND_OF_SOCKET = 1, 0xF
_LAST_KNOWN = 462
"""Calls beyond it are newer than this list, and denied."""
_CLONE_THREAD, _CLONE_NAMESPACES = 0x00010000, 0x7E020080

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCH, _FIRST_ARGUMENT, _SECOND_ARGUMENT = (
    0,
    4,
    16,
    24,
)  # offsets in struct seccomp_data; both machines are little-endian


def supported() -> bool:
    """Whether this machine's calls are known."""
    return platform.machine() in _ARCHITECTURES


def program(*, processes: bool, alone: bool = False) -> bytes:
    """The filter as an array of `struct sock_filter`.

    `processes`: whether it may start processes; threads it always may. `alone`: for a process that no namespace keeps
    apart from others. Raises OSError on a machine whose calls are not known.
    """
    if not supported():
        raise OSError(f"no filter of system calls for {platform.machine()!r}")
    architecture, column = _ARCHITECTURES[platform.machine()]
    denied = {**_DENIED, **({} if processes else _PROCESSES), **(_ALONE if alone else {})}
    numbers = [calls[column] for calls in denied.values() if calls[column] != _NONE]
    filters = [*_filter(architecture, numbers), *_by_arguments(column, processes=processes), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in filters)


_Line: TypeAlias = tuple[int, int, int, int]
"""(code, lines to skip if true, if false, operand)"""
_REFUSED, _UNKNOWN = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS


def _filter(architecture: int, numbers: Sequence[int]) -> Iterator[_Line]:
    """What is denied whatever its arguments are."""
    yield (_LOAD, 0, 0, _ARCH)
    yield (_EQUAL, 1, 0, architecture)
    yield (_RETURN, 0, 0, _KILL)
    yield (_LOAD, 0, 0, _NUMBER)
    yield (_AT_LEAST, 0, 1, _LAST_KNOWN + 1)  # x32's calls too, which begin at 0x40000000
    yield (_RETURN, 0, 0, _UNKNOWN)
    yield (_EQUAL, 0, 1, _CLONE3[0])  # its flags lie in memory, where no filter reads: libc then falls back to clone
    yield (_RETURN, 0, 0, _UNKNOWN)
    for number in numbers:
        yield (_EQUAL, 0, 1, number)
        yield (_RETURN, 0, 0, _REFUSED)


def _by_arguments(column: int, *, processes: bool) -> Iterator[_Line]:
    """What is denied for some of its arguments, of which a filter sees the numbers alone."""
    yield (_EQUAL, 0, 5, _CLONE[column])
    yield (_LOAD, 0, 0, _FIRST_ARGUMENT)
    yield (_ANY_BIT, 1, 0, _CLONE_NAMESPACES)
    yield (_ANY_BIT, 1, 0, 0xFFFFFFFF if processes else _CLONE_THREAD)
    yield (_RETURN, 0, 0, _REFUSED)
    yield (_RETURN, 0, 0, _ALLOW)
    yield (_EQUAL, 0, 4, _PRLIMIT[column])  # the limits of other processes
    yield (_LOAD, 0, 0, _FIRST_ARGUMENT)
    yield (_EQUAL, 1, 0, 0)
    yield (_RETURN, 0, 0, _REFUSED)
    yield (_RETURN, 0, 0, _ALLOW)
    yield (_EQUAL, 0, 5, _SOCKETPAIR[column])  # one for datagrams sends to whatever socket has a name
    yield (_LOAD, 0, 0, _SECOND_ARGUMENT)
    yield (_AND, 0, 0, _KIND_OF_SOCKET)
    yield (_EQUAL, 1, 0, _STREAM)
    yield (_RETURN, 0, 0, _REFUSED)
    yield (_RETURN, 0, 0, _ALLOW)
    for calls, commands in _COMMANDS:
        yield (_EQUAL, 0, 3 + len(commands), calls[column])
        yield (_LOAD, 0, 0, _SECOND_ARGUMENT)
        for place, command in enumerate(commands):
            yield (_EQUAL, len(commands) - place, 0, command)
        yield (_RETURN, 0, 0, _ALLOW)
        yield (_RETURN, 0, 0, _REFUSED)
