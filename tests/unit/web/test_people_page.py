from guardian.web.pages.paging import paged


def test_a_page_that_is_none_is_the_nearest():
    rows = list(range(7))
    assert paged(rows, {"page": "99"}, 3).rows == [6]
    for text in ("0", "-1", "x", "٣", ""):
        assert paged(rows, {"page": text}, 3).number == 1
    assert (paged([], {}, 3).first, paged([], {}, 3).last, paged([], {}, 3).pages) == (0, 0, 1)
