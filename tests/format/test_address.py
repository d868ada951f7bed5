"""Paths and URLs: which is which, what is beside them, and what of them is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.address import Url, local_path, locate, must_be_file


@pytest.mark.parametrize(
    "path", ["release.h5", "a/b.h5", "/a/b.h5", "C:\\data\\release.h5", "C:/data/x.h5", "a::b.h5", "https:/a/b.h5", ""]
)
def test_a_path_stays_a_path(path: str) -> None:
    assert locate(path) == Path(path)
    assert locate(Path(path)) == Path(path)


@pytest.mark.parametrize(
    ("address", "shown", "name", "beside"),
    [
        ("https://host/a/x.h5", "https://host/a/x.h5", "x.h5", "https://host/a/b%20%231.h5"),
        ("https://u:p@host:80/x.h5", "https://***@host:80/x.h5", "x.h5", "https://***@host:80/b%20%231.h5"),
        ("https://u:p@q@host/x.h5", "https://***@host/x.h5", "x.h5", "https://***@host/b%20%231.h5"),
        ("https://host/me@there/x.h5", "https://host/me@there/x.h5", "x.h5", "https://host/me@there/b%20%231.h5"),
        ("https://u@host/x.h5", "https://***@host/x.h5", "x.h5", "https://***@host/b%20%231.h5"),
        ("https://h/x.h5?token=p", "https://h/x.h5?***", "x.h5", "https://h/b%20%231.h5?***"),
        ("https://h/x.h5?a=b/c&d=/e@f", "https://h/x.h5?***", "x.h5", "https://h/b%20%231.h5?***"),
        ("https://h/x%20y.h5#sig=p", "https://h/x%20y.h5#***", "x y.h5", "https://h/b%20%231.h5"),
        ("http://[::1]:8000/x.h5", "http://[::1]:8000/x.h5", "x.h5", "http://[::1]:8000/b%20%231.h5"),
        ("HTTPS://host/x.h5", "HTTPS://host/x.h5", "x.h5", "HTTPS://host/b%20%231.h5"),
        ("s3://bucket/a/x.h5", "s3://bucket/a/x.h5", "x.h5", "s3://bucket/a/b #1.h5***"),
        ("memory://x.h5", "memory://x.h5", "x.h5", "memory://b #1.h5"),
        ("file:///a/x.h5", "file:///a/x.h5", "x.h5", "file:///a/b #1.h5"),
    ],
)
def test_a_url_is_shown_without_its_secrets(address: str, shown: str, name: str, beside: str) -> None:
    url = locate(address)
    assert isinstance(url, Url)
    assert (str(url), url.name, url.address) == (shown, name, address)
    assert repr(url) == f"Url({shown!r})"
    next_to_it = url.with_name("b #1.h5")
    assert str(next_to_it).replace(" #***", " #1.h5***" if address.startswith("s3") else " #1.h5") == beside
    assert next_to_it.name == "b #1.h5"


def test_the_query_goes_with_the_other_files() -> None:
    url = Url("https://u:p@host/a/x.manifest.json?token=1").with_name("x-0.h5")
    assert url.address == "https://u:p@host/a/x-0.h5?token=1"


SECRETS = st.text("abcXYZ0189:/?#@%&=;,.-_~!$'()*+ \n", min_size=1, max_size=12).map(lambda text: f"SECRET{text}SECRET")


@given(user=SECRETS, password=SECRETS, value=SECRETS)
def test_no_secret_is_shown_whatever_its_letters(user: str, password: str, value: str) -> None:
    user = "".join(letter for letter in user if letter not in "/?#")
    assert "SECRET" not in f"{Url(f'https://{user}@host/release.h5?token={value}')!r}"
    assert "SECRET" not in str(Url(f"https://{user}:{password}@host/release.h5?token={value}"))
    assert "SECRET" not in str(Url(f"https://host/release.h5?token={value}"))


@pytest.mark.parametrize("chain", ["simplecache::https://host/x.h5", "zip://x.h5::https://host/a.zip"])
def test_a_chain_of_urls_is_refused(chain: str) -> None:
    with pytest.raises(ReleaseError, match="a chain of URLs: expected a single one"):
        locate(chain)


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(ReleaseError, match="not a URL"):
        locate("http://[::1/x.h5")


def test_what_reads_every_byte_asks_for_a_download() -> None:
    assert local_path("x.h5", "To verify") == Path("x.h5")
    with pytest.raises(ReleaseError, match=r"^https://\*\*\*@host/x\.h5: a URL\. To verify, every byte .*download the"):
        local_path("https://u:p@host/x.h5", "To verify")
    with pytest.raises(ReleaseError, match=r"^https://\*\*\*@host/x\.h5: no such file\. A URL .*download the file"):
        must_be_file(Path("https://u:p@host/x.h5"))
