"""Valid values of RAY_ADDRESS, and the errors for other values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.errors import UsageError
from ltray.ray_address import Address, named_cluster, stays_on_loopback

LOCAL = ["", " ", "\t\n", "local", "LOCAL", " local "]


@pytest.mark.parametrize("text", LOCAL)
def test_empty_and_local_addresses_count_as_unset(text: str) -> None:
    assert named_cluster({"RAY_ADDRESS": text}) == named_cluster({}) == ""
    assert stays_on_loopback({"RAY_ADDRESS": text}) and stays_on_loopback({})


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:6379", "127.0.0.1", 6379),
        ("head.example.org:1", "head.example.org", 1),
        ("head_1:65535", "head_1", 65535),
        ("[::1]:6379", "::1", 6379),
        ("[2001:db8::7]:6379", "2001:db8::7", 6379),
        ("[fe80::1%eth0]:6379", "fe80::1%eth0", 6379),
    ],
)
def test_address_is_parsed_and_formatted(text: str, host: str, port: int) -> None:
    address = Address.parse(text)
    assert (address.host, address.port, str(address)) == (host, port, text)


@pytest.mark.parametrize(
    "text",
    [
        "localhost", "127.0.0.1", "127.0.0.1:", ":6379", ":", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:9" + "9" * 9,
        "127.0.0.1:-1", "127.0.0.1:６３７９", "127.0.0.1:63 79", "127.0.0.1:6379/", "127.0.0.1:6379:1", "::1:6379",
        "::1", "[::1]", "[127.0.0.1]:6379", "a b:6379", "head..org:6379", "user@head:6379", "x" * 300 + ":6379",
        "auto:6379:",
        "\x1b[31m:6379", "$RAY_HEAD_IP:6379 ", "127.0.0.1,127.0.0.2:6379",
    ],
)  # fmt: skip
def test_malformed_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        UsageError, match="not an address of a Ray cluster.*192.0.2.7:6379.*unset RAY_ADDRESS"
    ) as caught:
        Address.parse(text)
    assert "\x1b" not in str(caught.value)


@given(st.text())
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        address = Address.parse(text)
    except UsageError as error:
        assert str(error).startswith("RAY_ADDRESS=") and "unset RAY_ADDRESS" in str(error)
    else:
        assert str(address) == text and 0 < address.port < 65536


@pytest.mark.parametrize("scheme", ["ray", "RAY", "http", "https", "redis", "", "tcp"])
def test_other_protocols_are_refused_with_a_remedy(scheme: str) -> None:
    remedy = {"ray": "Ray Client is not supported.*ray job submit", "http": "job server.*ray job submit"}
    expected = remedy.get(scheme.lower().removesuffix("s"), "not a protocol of Ray clusters")
    with pytest.raises(UsageError, match=expected):
        Address.parse(f"{scheme}://127.0.0.1:10001")


def test_loopback_addresses_are_recognized() -> None:
    on_loopback = {"127.0.0.1:6379": True, "localhost:6379": True, "[::1]:6379": True, "127.3.2.1:6379": True}
    elsewhere = {"192.0.2.7:6379": False, "head:6379": False, "auto": False, "ray://127.0.0.1:1": False, "x": False}
    for text, expected in (on_loopback | elsewhere).items():
        assert stays_on_loopback({"RAY_ADDRESS": text}) is expected, text
