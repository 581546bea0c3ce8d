"""Errors are short, in the endpoint's own words, and hold no secret."""

from __future__ import annotations

import pytest

from bon.errors import Denied, RateLimited, Rejected, Retryable, Unavailable
from bon.transport.refusals import redact, refusal, said


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "no such model", "type": "x"}}', "no such model"),
        (b'{"error": "plain"}', "plain"),
        (b'{"object": "error", "message": "too long", "code": 40303}', "too long"),
        (b'{"detail": [{"loc": ["body"], "msg": "field required"}, {"msg": "bad n"}]}', "field required; bad n"),
        (b"{}", "{}"),
        (b"upstream connect error", "upstream connect error"),
        (b"\xff\xfe", "��"),
        (b"", ""),
    ],
)
def test_what_an_error_body_says(body: bytes, words: str) -> None:
    assert said(body) == words


def test_a_page_of_html_is_read_as_text() -> None:
    page = b"<html><head><style>b{}</style><title>502 Bad Gateway</title></head><body><h1>Sorry</h1></body></html>"
    assert said(page).split() == ["502", "Bad", "Gateway", "Sorry"]


def test_a_secret_is_gone_even_where_shortening_would_have_cut_it() -> None:
    text = "x" * 295 + "sk-canary-1234567890"
    assert "sk-c" not in redact(text, ["sk-canary-1234567890"])
    assert len(redact("y" * 5000, [])) == 300


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 301, 418])
def test_a_refusal_is_not_retryable(status: int) -> None:
    error = refusal(status, "no")
    assert isinstance(error, Rejected)
    assert isinstance(error, Denied) is (status not in (400, 413, 422)), "whether it is us, or the request"
    assert error.status == status
    assert not isinstance(error, Retryable)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, RateLimited), (408, Unavailable), (409, Unavailable), (500, Unavailable), (529, Unavailable)],
)
def test_what_may_pass_is_retryable(status: int, kind: type[Retryable]) -> None:
    error = refusal(status, "busy", wish=2.0)
    assert type(error) is kind
    assert isinstance(error, Retryable)
    assert error.retry_after == 2.0
