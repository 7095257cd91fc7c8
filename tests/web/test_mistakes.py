import errno

import pytest
from django.db import OperationalError
from django.test import RequestFactory

from streaming.web.mistakes import server_error


def answer_to(error):
    try:
        raise error
    except type(error):
        return server_error(RequestFactory().get("/"))


def test_a_page_that_fails_says_so_and_no_more():
    answer = answer_to(ValueError("the reason"))
    assert answer.status_code == 500
    assert "The server met an error that it did not expect" in answer.text
    assert "the reason" not in answer.text


def test_a_page_without_its_database_asks_to_try_again():
    answer = answer_to(OperationalError("database is locked"))
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert "The database cannot be used at the moment." in answer.text


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "the reason"), MemoryError("the reason")])
def test_a_page_for_which_the_machine_has_too_little_does_so_too(error):
    answer = answer_to(error)
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert "The machine has too little of something at the moment." in answer.text
    assert "the reason" not in answer.text
