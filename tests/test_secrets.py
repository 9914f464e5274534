"""Secrets are neither printed nor recorded: credentials in addresses, and tokens in the environment."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.errors import UsageError, shown
from ltray.masked import without_credentials
from ltray.printable import printable
from ltray.ray_address import Address
from tests.on_ray.commands import SMALL, environment

PASSWORD = "hunter2-5f3a"
PARTS = st.text(st.characters(codec="ascii", exclude_characters=" /?#'\"`<>\n\r\t\v\f@", categories=["L", "N", "P"]))


@given(st.sampled_from(["s3", "https", "redis", "git+ssh"]), PARTS.filter(bool), PARTS, PARTS)
def test_credentials_of_an_address_are_replaced(scheme: str, user: str, password: str, host: str) -> None:
    found = without_credentials(f"at {scheme}://{user}:{password}@{host}/a: no")
    assert found == f"at {scheme}://***@{host}/a: no"


@pytest.mark.parametrize(
    "text", ["a@b.c", "s3://bucket/a@b", "https://host/?q=a@b", "photos/a@2x.png", "x://", "s3://bucket a@b", ""]
)
def test_other_text_is_unchanged(text: str) -> None:
    assert without_credentials(text) == text


@pytest.mark.parametrize("show", [shown, printable, lambda text: shown({"a": [text]}), lambda text: shown(text * 40)])
def test_messages_show_no_credentials(show) -> None:
    text = show(f"https://me:{PASSWORD}@host/a")
    assert PASSWORD not in text and "***@" in text


@pytest.mark.parametrize("text", [f"redis://:{PASSWORD}@host:6379", f"ray://me:{PASSWORD}@host:1", f"x://{PASSWORD}@h"])
def test_address_of_a_cluster_is_shown_without_credentials(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        Address.parse(text)
    assert PASSWORD not in str(raised.value)


ADDRESS = f"https://me:{PASSWORD}@host/a"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--dataset", ADDRESS, "--methods", "bcl"],
        ["train", "--dataset", "digits-lt", "--methods", "bcl", "--output", ADDRESS],
        ["train", "--dataset", "digits-lt", "--methods", "bcl", "--from", ADDRESS],
        ["train", "--dataset", "digits-lt", "--methods", "bcl", f"weights={ADDRESS}"],
        ["train", "--dataset", "digits-lt", "--methods", ADDRESS],
        ["tune", ADDRESS],
        ["status", ADDRESS],
        ["report", ADDRESS],
        ["convert", ADDRESS],
        ["predict", ADDRESS, ADDRESS],
        ["export", ADDRESS, ADDRESS],
        ["views", "digits-lt", ADDRESS],
        ["reproduce", ADDRESS],
    ],
    ids=lambda arguments: "-".join(word for word in arguments if "://" not in word)[:40],
)
def test_refused_address_is_printed_without_credentials(arguments, tmp_path, monkeypatch, capsys) -> None:
    from ltray.__main__ import main
    from ltray.command import exit_with

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ltray", *arguments])
    with pytest.raises(SystemExit) as ended:
        exit_with(main)
    printed = "".join(capsys.readouterr())
    assert ended.value.code == 2, printed
    assert PASSWORD not in printed
    assert not list(tmp_path.iterdir())


SECRETS = {
    name: f"secret{number}-{PASSWORD}"
    for number, name in enumerate(
        ("WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "MLFLOW_TRACKING_PASSWORD")
    )
} | {"RAY_AUTH_TOKEN": f"{PASSWORD}-{'f' * 52}"}


@pytest.mark.slow
@pytest.mark.ffcv
def test_tokens_of_the_environment_are_in_no_output_and_no_file(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["--methods", "cross_entropy", "--dataset", "digits-lt", *SMALL, "epochs=1", "--output", str(run)]
    for module, arguments in (("train", words), ("status", [str(run)]), ("report", [str(run)])):
        done = subprocess.run(
            [sys.executable, "-m", f"ltray.{module}", *arguments],
            env=environment(tmp_path / "data") | SECRETS,
            capture_output=True,
            check=True,
        )
        assert PASSWORD.encode() not in done.stdout + done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
