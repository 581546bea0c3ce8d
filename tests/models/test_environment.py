"""What worker processes see of the environment."""

from __future__ import annotations

import pytest

from bon.models.environment import for_workers


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "openai_api_key",
        "OPENAI_BASE_URL",
        "MY_KEY",
        "K_APIKEY",
        "HF_TOKEN",
        "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "CLIENT_SECRET",
        "CLIENT_SECRET_V2",
        "DB_PASSWORD",
        "MYSQL_PASS",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "PROXY_AUTH",
    ],
)
def test_what_is_called_a_secret_is_left_out(name: str) -> None:
    assert for_workers({name: "canary", "HOME": "/home/ann"}) == {"HOME": "/home/ann"}


@pytest.mark.parametrize("value", ["http://ann:canary@proxy:3128", "postgres://:canary@db/x", "a b https://u:canary@h"])
def test_what_holds_a_password_is_left_out(value: str) -> None:
    assert for_workers({"HTTPS_PROXY": value, "DATABASE_URL": value}) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATH", "/usr/bin:/bin"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("KEYBOARD", "de"),
        ("SSH_CONNECTION", "10.0.0.1 22"),
        ("HTTPS_PROXY", "http://proxy:3128"),
        ("BON_CACHE", "/home/ann@work/cache"),
        ("OMP_NUM_THREADS", "2"),
        ("URL", "http://host/path@version:2"),
    ],
)
def test_the_rest_stays(name: str, value: str) -> None:
    assert for_workers({name: value}) == {name: value}
