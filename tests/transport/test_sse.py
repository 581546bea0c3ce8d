"""Server-sent events, cut anywhere, against an independent reading of the format."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from bon.transport.sse import EventReader


def independent(stream: str) -> list[str]:
    """The WHATWG rules, read line by line over the whole stream."""
    events: list[str] = []
    data: list[str] = []
    lines = stream.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for line in lines[:-1]:  # what has no end is no line
        if not line:
            if data:
                events.append("\n".join(data))
            data = []
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            if field == "data":
                data.append(value.removeprefix(" "))
    return events


pieces = st.sampled_from(
    [
        "data: x\r\n",
        "data:y\n",
        "data: z\r",
        "data",
        "data: ",
        ": ping",
        "event: x",
        "id: 1",
        "\n",
        "\r\n",
        "\r",
        "\n\n",
        " é",
        "a:b",
    ]
)
streams = st.lists(pieces, max_size=40).map("".join)


def read(stream: bytes, cuts: list[int]) -> list[str]:
    reader, events, begin = EventReader(), [], 0
    for end in [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]:
        events += reader.feed(stream[begin:end])
        begin = end
    return [event.decode() for event in events]


@given(streams, st.lists(st.integers(0, 10_000), max_size=30), st.booleans())
def test_any_stream_cut_anywhere_reads_the_same(stream: str, cuts: list[int], mark: bool) -> None:
    stream = ("\ufeff" if mark else "") + stream
    assert read(stream.encode(), cuts) == independent(stream)


@given(streams)
@example("data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n")
def test_byte_by_byte(stream: str) -> None:
    data = stream.encode()
    assert read(data, list(range(len(data)))) == independent(stream)


def test_an_event_without_its_empty_line_does_not_count() -> None:
    assert read(b"data: one\n\ndata: two\n", []) == ["one"]


def test_comments_and_other_fields_are_read_over_and_lines_of_data_joined() -> None:
    assert read(b": keep-alive\n\nevent: message\nid: 7\ndata: a\ndata:b\nretry: 3\n\n", []) == ["a\nb"]
