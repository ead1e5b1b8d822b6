"""What ``--judge`` understands, what it refuses, and that no message or name gives away an address or a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidchatbench.api.judging import open_judge
from vidchatbench.errors import InputError, UnavailableError
from vidchatbench.judge.connect import connect_judge
from vidchatbench.judge.llm.settings import PanelSettings, read_settings

SECRET = "sk-verysecret-0123456789"


def test_an_address_with_a_model() -> None:
    panel = read_settings("http://localhost:8080/v1/#Qwen/Qwen2.5-7B-Instruct")
    (judge,) = panel.judges
    assert (judge.base_url, judge.model) == ("http://localhost:8080/v1", "Qwen/Qwen2.5-7B-Instruct")
    assert panel.name == "qwen-qwen2.5-7b-instruct"
    assert (panel.repeats, panel.seed) == (2, 0)


def test_a_panel_by_commas() -> None:
    panel = read_settings("http://a.example/v1#x, https://b.example/v1#y:7b")
    assert [judge.model for judge in panel.judges] == ["x", "y:7b"]
    assert panel.name == "x+y-7b"


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "judges.toml"
    file.write_text(
        """
        repeats = 3
        seed = 7
        [[judges]]
        base_url = "http://localhost:8000/v1"
        model = "a"
        family = "qwen"
        price_in = 0.1
        price_out = 0.2
        requests_per_minute = 60
        max_concurrency = 2
        [[judges]]
        base_url = "https://api.example/v1"
        model = "b"
        api_key_env = "OTHER_KEY"
        max_tokens = 4096
        """
    )
    panel = read_settings(str(file))
    assert panel.name == "a+b.4096tok-r3-seed7", "whatever can change a score is in the name"
    assert panel.judges[0].max_concurrency == 2
    assert [judge.key_variable for judge in panel.judges] == [None, "OTHER_KEY"]


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("https://api.example/v1", "OPENAI_API_KEY"),
        ("http://api.example/v1", None),
        ("http://localhost:8080/v1", None),
        ("https://localhost:8080/v1", None),
        ("http://127.0.0.5:8080/v1", None),
        ("http://[::1]:8080/v1", None),
        ("https://127.0.0.1.example/v1", "OPENAI_API_KEY"),
    ],
)
def test_a_key_travels_only_over_https_and_only_to_other_computers(url: str, variable: str | None) -> None:
    assert read_settings(f"{url}#m").judges[0].key_variable == variable


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://localhost/v1", "no #MODEL"),
        ("localhost:8080#m", "http or https"),
        (f"https://{SECRET}@host/v1#m", "no user, password or query"),
        (f"https://host/v1?api_key={SECRET}#m", "no user, password or query"),
        ("http://h/v1#m,http://i/v1#M", "same model"),
        ("http://h/v1#", "at least 1 character"),
        ("missing.toml", "No such file"),
    ],
)
def test_what_is_wrong_is_said_without_repeating_it(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        read_settings(text)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None, "a cause would show what was read"


@pytest.mark.parametrize(
    "line",
    [
        f'api_key = "{SECRET}"',
        f'api_key_env = "{SECRET}"',
        f'"{SECRET}" = 1',
        f'model2 = ["{SECRET}"]',
        f'x = {SECRET}"',
    ],
)
def test_a_key_in_a_file_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    file = tmp_path / "judges.toml"
    file.write_text(f'[[judges]]\nbase_url = "http://h/v1"\nmodel = "m"\n{line}\n')
    with pytest.raises(InputError) as caught:
        read_settings(str(file))
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)


def test_all_problems_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "judges.toml"
    file.write_text('repeats = 0\n[[judges]]\nbase_url = "ftp://h"\nmodel = "m"\ntemperature = 1\n')
    with pytest.raises(InputError) as caught:
        read_settings(str(file))
    assert len(caught.value.problems) == 3


def test_the_address_shows_in_no_description() -> None:
    panel = read_settings("http://secret-host:8080/v1#m")
    assert "secret-host" not in repr(panel)
    assert "secret-host" not in panel.name


def test_a_judge_is_connected_once_and_opened_by_its_public_name() -> None:
    name = connect_judge("http://localhost:1/v1#once-only")
    judge = open_judge(name)
    assert name == "once-only"
    assert connect_judge("http://localhost:1/v1#once-only") == name
    assert open_judge(name) is judge, "its budget goes on"
    connect_judge("http://localhost:2/v1#once-only")
    assert open_judge(name) is not judge
    assert "localhost" not in str(judge.identity())
    with pytest.raises(UnavailableError, match="llama-server"):
        open_judge("never-connected")


def test_names_are_fit_for_a_protocol_id() -> None:
    judges = [{"base_url": "http://h/v1", "model": model} for model in ("Ä:ß/x y".replace(" ", "_"), "A@b+c")]
    name = PanelSettings.model_validate({"judges": judges}).name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.+-")
