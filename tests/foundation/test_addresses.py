"""Addresses without passwords."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.addresses import HIDDEN, shown, without_secrets

WORDS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("postgresql://ann:pw@db:5432/studies", "postgresql://ann:***@db:5432/studies"),
        ("postgresql+psycopg://ann:a%40b/c@db/s", "postgresql+psycopg://ann:***@db/s"),
        ("postgresql:///s?host=/run&user=ann&password=pw", "postgresql:///s?host=/run&user=ann&password=***"),
        ("mysql://ann@db/studies", "mysql://ann@db/studies"),
        ("http://ann:pw@host:5000", "http://ann:***@host:5000"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:////home/a:b@c/mlflow.db", "sqlite:////home/a:b@c/mlflow.db"),
        ("no address", "no address"),
        ("", ""),
    ],
)
def test_what_is_shown_of_an_address(address, seen):
    assert shown(address) == seen


@given(user=WORDS, password=st.text("abcXYZ019!$%/:+-@", min_size=1, max_size=12), host=WORDS)
def test_no_password_is_shown(user, password, host):
    address = f"postgresql://{user}:{password}@{host.lower()}/d"
    assert shown(address) == f"postgresql://{user}:{HIDDEN}@{host.lower()}/d"
    assert shown(shown(address)) == shown(address)


def test_a_complaint_that_repeats_the_password_loses_it_in_both_spellings():
    address = "postgresql://ann:p%40ss@db/s?sslpassword=other"
    assert without_secrets("p%40ss, p@ss and other are wrong", address) == "***, *** and *** are wrong"
    assert without_secrets("nothing to hide", "sqlite:///x") == "nothing to hide"
