"""The pipes of a process: bounded, never blocking, on any descriptor; what is written may be larger than a pipe."""

from __future__ import annotations

import os
import resource

import pytest

from bon.sandbox.streams import Streams


def test_what_is_read_is_bounded_and_counted_together() -> None:
    streams = Streams(limit=10)
    pipes = [os.pipe() for _ in range(3)]
    one, other = (streams.read(reading) for reading, _ in pipes[:2])
    report = streams.read(pipes[2][0], counted=False)
    for (_, writing), data in zip(pipes, (b"1234567", b"abc", b"x" * 50), strict=True):
        os.write(writing, data)
    streams.turn(1)
    assert (bytes(one), bytes(other), len(report), streams.excess) == (b"1234567", b"abc", 50, False)
    os.write(pipes[0][1], b"89012345")
    streams.turn(1)
    assert streams.excess
    assert bytes(one) == b"1234567890"
    for _, writing in pipes:
        os.close(writing)
    while streams.reading:
        streams.turn(1)
    assert streams.ended == {reading for reading, _ in pipes}
    for reading, _ in pipes:
        os.close(reading)


def test_what_is_written_may_be_larger_than_a_pipe() -> None:
    streams = Streams(limit=1 << 22)
    reading, writing = os.pipe()
    data = os.urandom(1 << 20)
    with os.fdopen(writing, "wb") as file:
        held = streams.read(reading)
        streams.write(writing, data, then_close=file)
        while streams.reading:
            streams.turn(1)
        assert file.closed
    assert held == data
    os.close(reading)


def test_a_reader_that_has_left_is_no_error() -> None:
    streams = Streams(limit=10)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as file:
        streams.write(writing, b"x" * 100, then_close=file)
        streams.turn(1)
        assert file.closed


def test_descriptors_above_1023_are_served() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip("this process may not have so many descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    try:
        reading, writing = os.pipe()
        os.dup2(reading, 1500)
        streams = Streams(limit=10)
        held = streams.read(1500)
        os.write(writing, b"there")
        streams.turn(1)
        assert held == b"there"
        for fd in (reading, writing, 1500):
            os.close(fd)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
