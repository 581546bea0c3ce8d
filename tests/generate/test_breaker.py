"""The circuit breaker on explicit clocks: known courses, and any course at all against a model of it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from bon.generate.breaker import Breaker, Tolerance


def breaker(**tolerance: float) -> Breaker:
    return Breaker(Tolerance(**tolerance), Random(0))


def fail(one: Breaker, times: int = 1, *, now: float = 0.0) -> None:
    for _ in range(times):
        permit = one.admit(now)
        assert permit is not None
        one.failed(permit, now, "Unavailable")


def test_a_row_of_failures_opens_it_and_a_success_breaks_the_row() -> None:
    one = breaker()
    for _ in range(3):
        fail(one, 4)
        permit = one.admit(0.0)
        assert permit is not None
        one.succeeded(permit)
    assert (one.state, one.reason) == ("closed", "")
    fail(one, 5)
    assert (one.state, one.reason) == ("open", "5 failures in a row, the last Unavailable")
    assert one.admit(0.0) is None


def test_a_share_of_failures_opens_it_once_there_are_enough_calls_to_tell() -> None:
    one = breaker(window=10, share=0.5, failures=100)
    for number in range(9):
        permit = one.admit(0.0)
        assert permit is not None
        if number % 2:
            one.succeeded(permit)
        else:
            one.failed(permit, 0.0, "TimedOut")
    assert one.state == "closed", "5 of 9 have failed, and 9 are too few"
    permit = one.admit(0.0)
    assert permit is not None
    one.failed(permit, 0.0, "TimedOut")
    assert (one.state, one.reason) == ("open", "6 failures among 10, the last TimedOut")


def test_what_is_long_past_no_longer_counts() -> None:
    one = breaker(window=10, share=0.5, failures=100)
    fail(one, 4)
    for _ in range(10):
        permit = one.admit(0.0)
        assert permit is not None
        one.succeeded(permit)
    fail(one, 4)
    assert one.state == "closed"


def test_one_probe_passes_after_the_pause_and_its_success_closes_it() -> None:
    one = breaker(pause=8.0)
    fail(one, 5)
    assert 4.0 <= one.due <= 8.0
    assert one.admit(one.due - 0.001) is None
    probe = one.admit(one.due)
    assert probe is not None
    assert one.state == "half-open"
    assert [one.admit(one.due + later) for later in (0.0, 1.0, 1e6)] == [None] * 3, "exactly one"
    one.succeeded(probe)
    assert (one.state, one.reason) == ("closed", "")
    fail(one, 4)
    assert one.state == "closed", "the failures from before it opened are forgotten"


def test_each_failed_probe_doubles_the_pause_up_to_the_longest_and_a_success_starts_anew() -> None:
    one = breaker(pause=1.0, longest=10.0)
    fail(one, 5)
    now, pauses = 0.0, []
    for _ in range(7):
        pauses.append(one.due - now)
        now = one.due
        fail(one, now=now)
        assert one.reason == "the probe failed: Unavailable"
    for pause, longest in zip(pauses, (1, 2, 4, 8, 10, 10, 10), strict=True):
        assert longest / 2 <= pause <= longest
    assert len(set(pauses[4:])) == 3, "jittered"
    probe = one.admit(one.due)
    assert probe is not None
    one.succeeded(probe)
    fail(one, 5, now=100.0)
    assert 0.5 <= one.due - 100.0 <= 1.0


def test_a_probe_of_which_nothing_is_heard_makes_room_for_the_next_at_once() -> None:
    one = breaker()
    fail(one, 5)
    probe = one.admit(one.due)
    assert probe is not None
    one.released(probe, 50.0)
    assert one.state == "open"
    again = one.admit(50.0)
    assert again is not None
    assert not one.holds(probe)
    one.succeeded(probe)
    assert one.state == "half-open", "the first probe has no say any more"
    one.succeeded(again)
    one.released(again, 51.0)
    assert one.state == "closed"


def test_late_news_changes_nothing() -> None:
    one = breaker()
    late = [one.admit(0.0) for _ in range(20)]
    fail(one, 5)
    due = one.due
    for permit in late[:10]:
        assert permit is not None
        one.succeeded(permit)
        one.failed(permit, 99.0, "TimedOut")
        one.released(permit, 99.0)
    assert (one.state, one.due) == ("open", due)
    probe = one.admit(due)
    assert probe is not None
    one.succeeded(probe)
    for permit in late[10:]:
        assert permit is not None
        one.failed(permit, 99.0, "TimedOut")
    assert one.state == "closed"


@pytest.mark.parametrize(
    "wrong",
    [
        {"failures": 0},
        {"window": 0},
        {"share": 0.0},
        {"share": 1.5},
        {"pause": 0.0},
        {"pause": 9.0, "longest": 8.0},
        {"longest": float("inf")},
        {"share": float("nan")},
    ],
)
def test_a_tolerance_that_means_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Tolerance"):
        Tolerance(**wrong)


class AnyCourse(RuleBasedStateMachine):
    """Calls begin and end in any order, while time goes by; a model says what the state must be."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.tolerance = Tolerance(failures=3, window=6, share=0.5, pause=2.0, longest=16.0)
        self.breaker = Breaker(self.tolerance, Random(1))
        self.now = 0.0
        self.life = 0
        """Counts the state's changes; a call remembers in which it began."""
        self.begun: dict[int, tuple[int, str]] = {}
        self.ended: list[bool] = []
        """The closed circuit's calls: whether each failed."""
        self.probe: int | None = None
        self.opened = 0.0
        self.openings = 0

    @rule(seconds=st.floats(0.0, 20.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=permits)
    def begin(self) -> object:
        before = self.breaker.state
        permit = self.breaker.admit(self.now)
        if before == "half-open":
            assert permit is None, "one probe at a time"
        elif before == "open":
            assert (permit is not None) == (self.now >= self.breaker.due)
        else:
            assert permit is not None
        if permit is None:
            return multiple()
        number = len(self.begun)
        if before == "open":
            self.life += 1
            self.probe = number
        self.begun[number] = (self.life, self.breaker.state)
        return (number, permit)

    @rule(call=consumes(permits), outcome=st.sampled_from(["succeeded", "failed", "released"]))
    def end(self, call: tuple[int, int], outcome: str) -> None:
        number, permit = call
        life, kind = self.begun[number]
        before = (self.breaker.state, self.breaker.due, self.breaker.reason)
        assert self.breaker.holds(permit) == (life == self.life)
        if outcome == "succeeded":
            self.breaker.succeeded(permit)
        elif outcome == "failed":
            self.breaker.failed(permit, self.now, "TimedOut")
        else:
            self.breaker.released(permit, self.now)
        after = self.breaker.state
        if life != self.life:
            assert (self.breaker.state, self.breaker.due, self.breaker.reason) == before, "late news"
        elif kind == "half-open":
            assert number == self.probe
            assert after == ("closed" if outcome == "succeeded" else "open")
            self.switch(after, again=outcome == "failed")
        else:
            if outcome != "released":
                self.ended = [*self.ended, outcome == "failed"][-6:]
            row = self.ended[-3:] == [True] * 3
            share = len(self.ended) == 6 and sum(self.ended) >= 3
            assert (after == "open") == (outcome == "failed" and (row or share))
            if after == "open":
                self.switch(after, again=True)

    def switch(self, state: str, *, again: bool) -> None:
        self.life += 1
        self.ended, self.probe = [], None
        if state == "closed":
            self.openings = 0
            self.ended = [False]
        elif again:
            pause = min(16.0, 2.0 * 2**self.openings)
            assert pause / 2 <= self.breaker.due - self.now <= pause
            self.openings += 1
        else:
            assert self.breaker.due == self.now

    @invariant()
    def it_can_be_read(self) -> None:
        assert (self.breaker.reason == "") == (self.breaker.state == "closed")
        assert (self.probe is not None) == (self.breaker.state == "half-open")


TestAnyCourse = AnyCourse.TestCase
TestAnyCourse.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
