"""The page of `mf-movielens serve` in a real browser, with nothing else on the network.

Needs Debian's `chromium`, or the browser that the variable CHROMIUM names. Answers are
compared with those of `Recommender` itself.
"""

from __future__ import annotations

import ast
import contextlib
import fnmatch
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from in_browser import (
    BROWSER,
    Tabs,
    barriers_in_light_and_dark,
    open_browser,
    sync_api,
)

from mf_movielens.encoding import Ratings
from mf_movielens.recommender import Recommender

uvicorn = pytest.importorskip('uvicorn', reason="needs pip install -e '.[serve]'")
pytest.importorskip('fastapi', reason="needs pip install -e '.[serve]'")
if not BROWSER:
    pytest.skip('no chromium here', allow_module_level=True)

from mf_movielens.api import Shelf, make_api
from mf_movielens.gate import AddHeaders
from mf_movielens.serve import ServeSettings, guard
from mf_movielens.served import ServedModel

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / 'mf_movielens/static'
DESK, PHONE = 1440, 390
MAIN = 'from mf_movielens.cli import main; main()'
TOKEN = 'a-token-for-the-tests'
HOSTILE = '<img src=x onerror="window.hacked = 1">'
expect = sync_api.expect


# models


def planted(n_users: int = 80, n_items: int = 40) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ratings of users who like the even items or the odd ones, and the items."""
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((n_users, n_items)) < 0.5)
    likes = user % 2 == item % 2
    rating = rng.integers(1, 3, len(user)) + 3 * likes
    ratings = pd.DataFrame({'user': user + 1, 'item': item + 1, 'rating': rating})
    ids = np.arange(n_items)
    kinds = np.where(ids % 2, 'Comedy', 'Drama')
    extra = np.where(ids % 5, '', '|War')
    items = pd.DataFrame(
        {
            'item': ids + 1,
            'title': [f'{kind} {n:02} ({1960 + n})' for n, kind in zip(ids, kinds)],
            'genre': [f'{kind}{more}' for kind, more in zip(kinds, extra)],
            'year': 1960 + ids,
            'seen on': pd.to_datetime('1990-01-01') + pd.to_timedelta(30 * ids, 'D'),
        }
    )
    return ratings, items


def fitted(ratings: pd.DataFrame, items: pd.DataFrame, **settings: Any) -> Recommender:
    titles = items.set_index('item').title
    encoded = Ratings.from_frame(ratings, titles=titles.to_dict(), kind='stars')
    model = Recommender.fit(encoded, **settings)
    return model.with_features(item_features=items.drop(columns='title'))


@pytest.fixture(scope='module')
def films() -> Recommender:
    return fitted(*planted(), n_factors=4)


@pytest.fixture(scope='module')
def bayes() -> Recommender:
    few = {'n_factors': 2, 'n_burn_in': 5, 'n_samples': 10, 'progress': False}
    return fitted(*planted(), solver='bayes', **few)


def movielens(archive: Path) -> Recommender:
    from mf_movielens.data import load

    ml = load('ml-100k')
    kinds = [c for c in ml.movies.columns if ml.movies[c].isin([0, 1]).all()]
    genres = ml.movies[kinds].astype(bool)
    items = pd.DataFrame(
        {
            'item': ml.movies.movie_id,
            'title': ml.movies.title,
            'genre': ['|'.join(np.array(kinds)[row]) for row in genres.to_numpy()],
            'year': pd.to_numeric(ml.movies.title.str.extract(r'\((\d{4})\)$')[0]),
        }
    )
    ratings = ml.ratings.set_axis(['user', 'item', 'rating', 'timestamp'], axis=1)
    return fitted(ratings, items, n_iterations=4)


# servers


class Server:
    """Models behind the guards of the command, in a thread of the tests."""

    def __init__(self, models: dict[str, Recommender], **settings: Any) -> None:
        self.shelf = Shelf(ServedModel.of(n, model) for n, model in models.items())
        self.settings = ServeSettings(**settings)
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.port}/'

    def start(self) -> None:
        app = AddHeaders(guard(make_api(self.shelf), self.settings))
        config = uvicorn.Config(app, port=self.port, log_level='error')
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            time.sleep(0.01)

    def stop(self) -> None:
        self.server.should_exit = self.server.force_exit = True
        self.thread.join()


@contextlib.contextmanager
def serving(models: dict[str, Recommender], **settings: Any) -> Iterator[Server]:
    server = Server(models, **settings)
    yield server
    server.stop()


@pytest.fixture(scope='module')
def one(films: Recommender) -> Iterator[Server]:
    with serving({'films': films}) as server:
        yield server


@pytest.fixture(scope='module')
def two(films: Recommender, bayes: Recommender) -> Iterator[Server]:
    with serving({'films': films, 'bayes': bayes}) as server:
        yield server


# pages


@pytest.fixture(scope='module')
def browser() -> Iterator[sync_api.Browser]:
    with open_browser() as opened:
        opened.new_context().close()
        yield opened


OpenTab = Callable[..., 'sync_api.Page']


@pytest.fixture(scope='module')
def tabs(browser: sync_api.Browser) -> Tabs:
    return Tabs(browser, may_abort=True)


@pytest.fixture
def tab(tabs: Tabs) -> Iterator[OpenTab]:
    """A function that opens a page in a tab without a past."""

    def open_tab(url: str, width: int = DESK, **options: Any) -> sync_api.Page:
        if width == PHONE:
            options = {'has_touch': True, 'is_mobile': True} | options
        page = tabs.take(viewport={'width': width, 'height': 844}, **options)
        page.set_default_timeout(10_000)
        page.goto(url)
        return page

    yield open_tab
    tabs.give_back()


def rate(page: sync_api.Page, text: str, stars: int | None = None) -> None:
    """Add the first item that is found, as somebody would who types."""
    n_before = page.locator('ul.history > li').count()
    page.fill('#search', text)
    expect(page.locator('#search-list [role=option]').first).to_be_visible()
    page.press('#search', 'Enter')
    rows = page.locator('ul.history > li')
    expect(rows).to_have_count(n_before + 1)
    if stars is not None:
        slider = rows.first.get_by_role('slider')
        slider.press(str(stars))
        expect(slider).to_have_attribute('aria-valuenow', str(stars))


def settled(page: sync_api.Page) -> None:
    """Wait until each list has its answer."""
    page.wait_for_function(
        """() => document.querySelector('ol.recommended li') &&
        [...document.querySelectorAll('.results')].every(
            (results) => results.ariaBusy === 'false')"""
    )


def listed(page: sync_api.Page, j: int = 0) -> list[str]:
    """The titles that are recommended, once the answer is there."""
    settled(page)
    return page.locator('ol.recommended').nth(j).locator('.title').all_inner_texts()


def fits(page: sync_api.Page) -> bool:
    return page.evaluate(
        'document.documentElement.scrollWidth <= document.documentElement.clientWidth'
    )


def titles_of(frame: pd.DataFrame) -> list[str]:
    return frame.title.tolist()


# a new user


@pytest.mark.parametrize('width', [DESK, PHONE])
@pytest.mark.parametrize('data', ['planted', 'ml-100k'])
def test_a_new_user_finds_their_way(
    data: str, width: int, tab: OpenTab, films: Recommender, request: Any
) -> None:
    if data == 'ml-100k':
        model = request.getfixturevalue('movielens_model')
        known = {'Toy Story (1995)': 'toy sto', 'Fargo (1996)': 'fargo'}
        genre, year = 'Comedy', 1990
    else:
        model = films
        known = {'Drama 00 (1960)': 'drama 00', 'Drama 04 (1964)': 'drama 04'}
        genre, year = 'Drama', 1980
    first, second = known
    with serving({'films': model}) as server:
        page = tab(server.url, width)
        expect(page.locator('.hints button').first).to_be_visible()
        expect(page.locator('.message:visible')).to_contain_text('Rate one or two')
        for text in known.values():
            rate(page, text)
        ratings = dict.fromkeys(known, 5)
        assert listed(page) == titles_of(model.fold_in(ratings))
        assert fits(page)

        # another rating, another list
        page.get_by_role('slider', name=f'rating of {second}').press('ArrowLeft')
        page.get_by_role('slider', name=f'rating of {second}').press('1')
        ratings[second] = 1
        expected = model.fold_in(ratings)
        expect(page.locator('ol.recommended .title').first).to_have_text(
            expected.title[0]
        )
        assert listed(page) == titles_of(expected)

        # why, and what is similar
        page.locator('ol.recommended .title').first.click()
        panel = page.locator('dialog.panel')
        expect(panel.locator('h2')).to_have_text(expected.title[0])
        reasons = model.explain(ratings, int(expected['item'][0]))
        rows = panel.locator('table.reasons tr')
        expect(rows).to_have_count(len(reasons) + 1)
        assert first in rows.nth(0).inner_text()
        total = rows.last.locator('.number').inner_text()
        assert float(total) == pytest.approx(expected.score[0], abs=0.006)
        similar = model.similar(int(expected['item'][0]), say=None)
        near = panel.locator('ol.similar button')
        assert near.all_inner_texts() == titles_of(similar)
        near.first.click()
        expect(panel.locator('h2')).to_have_text(similar.title[0])
        panel.get_by_role('button', name='back', exact=True).click()
        expect(panel.locator('h2')).to_have_text(expected.title[0])
        assert fits(page)
        panel.get_by_role('button', name='close').click()
        expect(panel).to_be_hidden()

        # filters from the columns of the items
        page.locator('.settings summary').click()
        page.get_by_role('checkbox', name=genre, exact=True).check(force=True)
        page.get_by_label('year from').fill(str(year))
        page.get_by_label('year from').press('Enter')
        where = f"genre == '{genre}' and year >= {year}"
        filtered = titles_of(model.fold_in(ratings, where=where))
        expect(page.locator('.active button')).to_have_count(2)
        expect(page.locator('ol.recommended .title').first).to_have_text(filtered[0])
        assert listed(page) == filtered
        assert fits(page)

        # all of it is there after a reload, and at the address that is shared
        address = page.url
        page.reload()
        assert listed(page) == filtered
        other = tab(address, width)
        assert listed(other) == filtered
        page.goto(server.url)
        assert listed(page) == filtered

        # and goes away again
        page.locator('.active button').first.click()
        page.locator('.active button').first.click()
        page.get_by_role('button', name=f'remove {second}').click()
        alone = titles_of(model.fold_in({first: 5}))
        expect(page.locator('ol.recommended .title').first).to_have_text(alone[0])
        assert listed(page) == alone
        page.get_by_role('button', name='remove ' + first).click()
        expect(page.locator('.message:visible')).to_contain_text('Rate one or two')
        assert page.wrong == []
        assert other.wrong == []


@pytest.fixture(scope='module')
def movielens_model() -> Recommender:
    archive = Path(os.environ.get('MF_MOVIELENS_HOME', ''), 'ml-100k.zip')
    if not archive.is_file():
        pytest.skip(
            'real MovieLens 100K is not here: name its folder in MF_MOVIELENS_HOME'
        )
    return movielens(archive)


def focus(page: sync_api.Page) -> str:
    """What has the focus, in words."""
    return page.evaluate(
        """() => {
            const e = document.activeElement;
            return e.ariaLabel || e.innerText || e.id || e.tagName;
        }"""
    )


def tab_to(page: sync_api.Page, words: str, most: int = 40) -> None:
    """Press Tab until something of that name has the focus."""
    for _ in range(most):
        page.keyboard.press('Tab')
        if re.search(words, focus(page)):
            return
    raise AssertionError(f'Tab does not lead to {words!r}, but to {focus(page)!r}')


def test_everything_by_keyboard(tab: OpenTab, one: Server, films: Recommender) -> None:
    page = tab(one.url)
    expect(page.locator('.hints button').first).to_be_visible()
    tab_to(page, '^search$')
    page.keyboard.type('drama')
    options = page.locator('#search-list [role=option]')
    expect(options.first).to_have_attribute('aria-selected', 'true')
    field = page.locator('#search')
    expect(field).to_have_attribute('aria-expanded', 'true')
    expect(field).to_have_attribute('aria-activedescendant', 'search-0')
    second = options.nth(1).locator('span').inner_text()
    page.keyboard.press('ArrowDown')
    expect(options.nth(1)).to_have_attribute('aria-selected', 'true')
    page.keyboard.press('Escape')
    expect(field).to_have_attribute('aria-expanded', 'false')
    expect(field).to_have_value('drama')
    page.keyboard.press('ArrowDown')
    expect(options.first).to_be_visible()
    page.keyboard.press('ArrowDown')
    page.keyboard.press('Enter')
    expect(field).to_have_value('')
    assert listed(page) == titles_of(films.fold_in({second: 5}))

    tab_to(page, f'^rating of {re.escape(second)}')
    page.keyboard.press('ArrowLeft')
    page.keyboard.press('ArrowLeft')
    first = films.fold_in({second: 3}).title[0]
    expect(page.get_by_role('slider').first).to_have_attribute('aria-valuenow', '3')
    expect(page.locator('ol.recommended .title').first).to_have_text(first)
    assert focus(page) == f'rating of {second}'  # the row was not drawn anew

    tab_to(page, f'^{re.escape(first)}')
    page.keyboard.press('Enter')
    panel = page.locator('dialog.panel')
    expect(panel.locator('h2')).to_have_text(first)
    tab_to(page, '^Your rating')
    page.keyboard.press('End')
    page.keyboard.press('Escape')
    expect(panel).to_be_hidden()
    expect(page.locator('ul.history > li')).to_have_count(2)
    page.locator('#search').focus()
    tab_to(page, f'^remove {re.escape(first)}')
    page.keyboard.press('Enter')
    expect(page.locator('ul.history > li')).to_have_count(1)
    assert focus(page) == f'remove {second}'
    page.keyboard.press('Enter')
    expect(page.locator('ul.history > li')).to_have_count(0)
    assert focus(page) == 'search'
    assert page.wrong == []


def test_the_list_can_be_longer_more_diverse_and_less_popular(
    tab: OpenTab, one: Server, films: Recommender
) -> None:
    page = tab(one.url)
    rate(page, 'drama 00')
    ratings = {'Drama 00 (1960)': 5}
    page.locator('.settings summary').click()
    page.get_by_label('Length of the list').select_option('5')
    expect(page.locator('ol.recommended > li')).to_have_count(5)
    page.get_by_label('Diversity').fill('0.8')
    page.get_by_label('Less of what is popular').fill('1.5')
    expected = films.fold_in(ratings, k=5, diversity=0.8, popularity_discount=1.5)
    assert titles_of(expected) != titles_of(films.fold_in(ratings, k=5))
    page.wait_for_function(
        """(title) => [...document.querySelectorAll('ol.recommended .title')]
            .map((e) => e.textContent).join('|') === title""",
        arg='|'.join(titles_of(expected)),
    )
    page.get_by_role('button', name='Reset all').click()
    expect(page.locator('ol.recommended > li')).to_have_count(10)
    assert listed(page) == titles_of(films.fold_in(ratings))


def test_a_condition_that_makes_no_sense_is_told_where_it_stands(
    tab: OpenTab, one: Server, films: Recommender
) -> None:
    page = tab(one.url)
    rate(page, 'drama 00')
    page.locator('.settings summary').click()
    condition = page.get_by_label('Condition')
    condition.fill("genre = 'Drama'")
    condition.press('Enter')
    error = page.locator('#condition-error')
    expect(error).to_contain_text('equal is ==')
    expect(condition).to_have_attribute('aria-invalid', 'true')
    expect(page.locator('.message:visible')).to_contain_text('Correct the condition')
    condition.fill("not genre == 'War' and `seen on` > '1991-01-01'")
    condition.press('Enter')
    expect(error).to_be_hidden()
    expected = films.fold_in({1: 5}, where=condition.input_value())
    expect(page.locator('ol.recommended > li')).to_have_count(len(expected))
    assert listed(page) == titles_of(expected)


def test_dates_and_several_categories(
    tab: OpenTab, one: Server, films: Recommender
) -> None:
    page = tab(one.url)
    rate(page, 'drama 00')
    page.locator('.settings summary').click()
    page.get_by_label('seen on up to').fill('1991-06-01')
    page.get_by_label('seen on up to').blur()
    page.get_by_role('checkbox', name='War').check(force=True)
    page.get_by_role('checkbox', name='Comedy').check(force=True)
    expect(page.locator('.active')).to_contain_text('genre: War or Comedy')
    where = "genre in ['War', 'Comedy'] and `seen on` <= '1991-06-01'"
    expected = titles_of(films.fold_in({1: 5}, where=where))
    expect(page.locator('ol.recommended .title').first).to_have_text(expected[0])
    page.wait_for_timeout(300)
    assert listed(page) == expected
    assert page.wrong == []


def test_hints_are_added_by_a_click_and_by_keys(tab: OpenTab, one: Server) -> None:
    page = tab(one.url)
    hints = page.locator('.hints button')
    title = hints.first.inner_text()
    hints.first.click()
    expect(page.locator('ul.history .title')).to_have_text(title)
    expect(page.locator('.hints', has_text=title)).to_have_count(0)
    page.fill('#search', 'no such thing')
    page.wait_for_timeout(300)
    page.press('#search', 'Enter')
    expect(page.locator('.search-note:visible')).to_contain_text('Nothing here')


# a known user


def test_a_known_user_has_a_history_and_recommendations(
    tab: OpenTab, one: Server, films: Recommender
) -> None:
    page = tab(one.url)
    page.get_by_label('A known user').check(force=True)
    page.fill('#user-search', '7')
    expect(page.locator('#user-search-list [role=option]').first).to_be_visible()
    page.press('#user-search', 'Enter')
    assert listed(page) == titles_of(films.recommend([7]))
    history = films.history(7)
    assert (
        page.locator('ul.history .title').all_inner_texts() == titles_of(history)[:12]
    )
    page.get_by_role('button', name=f'Show all {len(history)}').click()
    expect(page.locator('ul.history > li')).to_have_count(len(history))
    near = films.similar_users(7, k=5).user.astype(str).tolist()
    assert page.locator('.person .hints:visible button').all_inner_texts() == near

    first = films.recommend([7])
    page.locator('ol.recommended .title').first.click()
    expect(page.locator('dialog.panel h2')).to_have_text(first.title[0])
    total = page.locator('table.reasons .sum .number')
    expect(total).to_have_text(f'{first.score[0]:.2f}')
    expect(page.locator('dialog.panel [role=slider]')).to_have_count(0)
    page.keyboard.press('Escape')
    page.locator('.person .hints:visible button').first.click()
    expect(page.locator('#user-search')).to_have_value(near[0])
    expected = titles_of(films.recommend([int(near[0])]))
    expect(page.locator('ol.recommended .title').first).to_have_text(expected[0])
    assert listed(page) == expected
    page.reload()
    assert listed(page) == expected
    assert page.wrong == []


# two models, intervals


@pytest.mark.parametrize('width', [DESK, PHONE])
def test_two_models_side_by_side(
    width: int, tab: OpenTab, two: Server, films: Recommender, bayes: Recommender
) -> None:
    page = tab(two.url, width)
    rate(page, 'drama 00')
    rate(page, 'comedy 03', 2)
    ratings = {'Drama 00 (1960)': 5, 'Comedy 03 (1963)': 2}
    lists = [titles_of(model.fold_in(ratings)) for model in (films, bayes)]
    page.wait_for_function(
        "(n) => document.querySelectorAll('ol.recommended li').length === n", arg=20
    )
    page.wait_for_timeout(300)
    assert [listed(page, j) for j in range(2)] == lists
    for j, own in enumerate(lists):
        other = lists[1 - j]
        rows = page.locator('ol.recommended').nth(j).locator('> li')
        marks = [
            ' '.join(row.locator('.badge').all_inner_texts()) for row in rows.all()
        ]
        for rank, (title, mark) in enumerate(zip(own, marks), 1):
            if title not in other:
                assert mark == 'only here'
            elif other.index(title) + 1 == rank:
                assert mark == ''
            else:
                assert re.fullmatch(
                    rf'{other.index(title) + 1}(st|nd|rd|th) there', mark
                )
    assert fits(page)
    assert page.wrong == []


def test_the_models_that_are_shown_can_be_chosen(
    tab: OpenTab, two: Server, films: Recommender, bayes: Recommender
) -> None:
    page = tab(two.url)
    rate(page, 'drama 00')
    expect(page.locator('ol.recommended')).to_have_count(2)
    page.locator('.settings summary').click()
    page.get_by_label('Beside it').select_option('none')
    expect(page.locator('ol.recommended')).to_have_count(1)
    assert listed(page) == titles_of(films.fold_in({1: 5}))
    page.get_by_label('Model').select_option('bayes')
    expect(page.locator('#about')).to_contain_text('bayes')
    expected = titles_of(bayes.fold_in({1: 5}))
    assert listed(page) == expected
    page.reload()
    assert listed(page) == expected
    expect(page.locator('ol.recommended')).to_have_count(1)
    assert page.wrong == []


def test_a_bayesian_model_shows_intervals_and_probabilities(
    tab: OpenTab, bayes: Recommender
) -> None:
    with serving({'bayes': bayes}) as server:
        page = tab(server.url)
        rate(page, 'drama 00')
        ratings = {'Drama 00 (1960)': 5}
        expected = bayes.fold_in(ratings)
        assert listed(page) == titles_of(expected)
        row = expected.loc[0]
        shown = f'{row.score:.2f} {row.mean_low:.2f} to {row.mean_high:.2f}'
        expect(page.locator('ol.recommended .score .number').first).to_have_text(shown)
        page.locator('ol.recommended .title').first.click()
        table = bayes.probabilities(ratings, [row['item']])
        rows = page.locator('table.probabilities tr')
        expect(rows).to_have_count(len(table.columns))
        percents = rows.locator('.number').all_inner_texts()
        assert percents == [f'{round(100 * p)} %' for p in table.loc[0]]
        # why cannot be told of many samples, and is not an error of the page
        expect(page.locator('dialog.panel')).to_contain_text('can be explained')
        page.keyboard.press('Escape')
        page.locator('.settings summary').click()
        page.get_by_label('Order by').select_option('low')
        cautious = titles_of(bayes.fold_in(ratings, by='low'))
        page.wait_for_timeout(400)
        assert listed(page) == cautious


def test_ratings_of_what_the_other_model_does_not_know_are_left_out(
    tab: OpenTab, films: Recommender
) -> None:
    ratings, items = planted()
    few = fitted(ratings[ratings.item > 1], items[items.item > 1], n_factors=4)
    with serving({'films': films, 'few': few}) as server:
        page = tab(server.url)
        rate(page, 'drama 00')
        rate(page, 'drama 04')
        page.wait_for_timeout(500)
        assert listed(page, 1) == titles_of(few.fold_in({'Drama 04 (1964)': 5}))
        expect(page.locator('.results .note:visible')).to_contain_text(
            '1 rating left out'
        )


def test_a_rating_is_carried_to_the_scale_of_the_other_model(tab: OpenTab) -> None:
    """A like is the best mark elsewhere; to likes, a bad mark says nothing."""
    ratings, items = planted()
    titles = items.set_index('item').title.to_dict()
    likes = Recommender.fit(
        Ratings.from_frame(
            ratings[ratings.rating > 3].assign(rating=1), titles=titles, kind='likes'
        ),
        n_factors=4,
    )
    films = fitted(ratings, items, n_factors=4)
    with serving({'likes': likes, 'films': films}) as server:
        page = tab(server.url)
        rate(page, 'drama 00')
        page.wait_for_timeout(400)
        assert listed(page, 0) == titles_of(likes.fold_in({1: 1}))
        assert listed(page, 1) == titles_of(films.fold_in({1: 5}))
    with serving({'films': films, 'likes': likes}) as server:
        page = tab(server.url)
        rate(page, 'drama 00')
        rate(page, 'comedy 03', 2)
        page.wait_for_timeout(500)
        assert listed(page, 0) == titles_of(films.fold_in({1: 5, 4: 2}))
        assert listed(page, 1) == titles_of(likes.fold_in({1: 1}))
        expect(page.locator('.results .note:visible')).to_contain_text('only what is')


def test_a_list_that_goes_by_popularity_says_so(tab: OpenTab, one: Server) -> None:
    page = tab(one.url)
    rate(page, 'drama 00', 1)
    page.wait_for_timeout(400)
    note = page.locator('.results .note')
    expect(note).to_contain_text('the most popular')
    rate(page, 'drama 04')
    expect(note).to_be_hidden()
    assert page.wrong == []


def test_a_search_without_a_hit_says_so_and_nothing_is_said_too_early(
    tab: OpenTab, one: Server
) -> None:
    page = tab(one.url)
    page.fill('#search', 'zzzz')
    note = page.locator('.search-note').first
    expect(note).to_contain_text('Nothing here is called “zzzz”')
    # An answer that does not come.
    page.route('**/api/fold-in*', lambda route: None)
    page.fill('#search', 'drama 00')
    expect(page.locator('#search-list [role=option]').first).to_be_visible()
    expect(note).to_be_empty()
    page.press('#search', 'Enter')
    expect(page.locator('ul.history > li')).to_have_count(1)
    expect(note).to_contain_text('change the stars')
    expect(page.locator('.results .message')).to_be_hidden()


def test_the_address_says_which_models_are_shown(tab: OpenTab, two: Server) -> None:
    page = tab(two.url)
    rate(page, 'drama 00')
    page.locator('.settings summary').click()
    page.get_by_label('Beside it').select_option('none')
    page.get_by_label('Model').select_option('bayes')
    expect(page.locator('#about')).to_contain_text('bayes')
    page.wait_for_timeout(300)
    elsewhere = tab(page.url)
    expect(elsewhere.locator('#about')).to_contain_text('bayes')
    assert listed(elsewhere) == listed(page)
    expect(elsewhere.locator('ol.recommended')).to_have_count(1)


# other kinds of ratings


def test_likes_have_no_stars_and_counts_are_numbers(tab: OpenTab) -> None:
    ratings, items = planted()
    likes = ratings[ratings.rating > 3].assign(rating=1)
    counts = likes.assign(rating=1 + likes.item % 7 * 3)
    models = {
        kind: Recommender.fit(
            Ratings.from_frame(
                frame, titles=items.set_index('item').title.to_dict(), kind=kind
            ),
            n_factors=4,
        )
        for kind, frame in {'likes': likes, 'counts': counts}.items()
    }
    with serving({'likes': models['likes']}) as server:
        page = tab(server.url)
        rate(page, 'drama 00')
        assert listed(page) == titles_of(models['likes'].fold_in({1: 1}))
        expect(page.get_by_role('slider')).to_have_count(0)
        title = page.locator('ol.recommended .title').first.inner_text()
        page.locator('ol.recommended .title').first.click()
        page.get_by_role('button', name='Add to what I like').click()
        expect(page.locator('ul.history > li')).to_have_count(2)
        page.get_by_role('button', name='Remove from what I like').click()
        expect(page.locator('ul.history', has_text=title)).to_have_count(0)
        assert page.wrong == []
    with serving({'counts': models['counts']}) as server:
        page = tab(server.url)
        rate(page, 'drama 00')
        number = page.get_by_label('rating of Drama 00 (1960)')
        number.fill('12')
        number.press('Enter')
        page.wait_for_timeout(400)
        expected = models['counts'].fold_in({1: 12})
        assert listed(page) == titles_of(expected)
        shown = page.locator('ol.recommended .number').first.inner_text()
        assert float(shown) == pytest.approx(expected.score[0], abs=0.006)
        assert page.wrong == []


# a file of one's own, from the command line to the page


def start_command(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-c', MAIN, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {'PYTHONUNBUFFERED': '1'},
    )


@pytest.fixture(scope='module')
def own_server(tmp_path_factory: Any) -> Iterator[tuple[str, Recommender]]:
    """The commands that somebody types who has a CSV; the address and the model."""
    folder = tmp_path_factory.mktemp('own')
    ratings, items = planted()
    ids = {n: f'books/{n:03} ü' for n in items['item']}
    items['title'] = [HOSTILE, 'books/003 ü', *items.title[2:]]
    for frame in (ratings, items):
        frame['item'] = frame['item'].map(ids)
    ratings.to_csv(folder / 'own.csv', index=False)
    items.to_csv(folder / 'items.csv', index=False)
    train = start_command(
        folder,
        *['train', 'own.csv', '--kind', 'stars', '--n-factors', '4'],
        *['--item-features', 'items.csv'],
    )
    train.communicate(timeout=120)
    assert train.returncode == 0
    (path,) = folder.rglob('model.npz')
    serve = start_command(folder, 'serve', str(path), '--no-browser')
    try:
        address = re.search(r'http://\S+', serve.stdout.readline())[0]
        yield address, Recommender.load(path)
    finally:
        serve.terminate()
        serve.wait(30)


@pytest.mark.parametrize('width', [DESK, PHONE])
def test_a_csv_of_ones_own(
    width: int, tab: OpenTab, own_server: tuple[str, Recommender]
) -> None:
    address, model = own_server
    page = tab(address, width)
    # an id with a slash, a space and a letter beyond ASCII, which is a title as well
    rate(page, 'books/003')
    rate(page, 'drama 04')
    item = 'books/005 ü'
    first = page.locator('ul.history .title').last.inner_text()
    row = model.catalog.find_word('id:books/003 ü')
    assert first in (model.titles[row], 'books/003 ü')
    address_kept = json.loads(page.evaluate('localStorage["mf-movielens:model"]'))
    kept = dict(address_kept['ratings'])
    assert item in kept
    expected = titles_of(model.fold_in({f'id:{id}': r for id, r in kept.items()}))
    assert listed(page) == expected
    page.reload()
    assert listed(page) == expected
    assert fits(page)
    assert page.wrong == []


def test_a_title_is_text_wherever_it_stands(
    tab: OpenTab, own_server: tuple[str, Recommender]
) -> None:
    page = tab(own_server[0])
    page.fill('#search', 'onerror')
    option = page.locator('#search-list [role=option]')
    expect(option).to_contain_text(HOSTILE)
    page.press('#search', 'Enter')
    name = page.locator('ul.history .title')
    expect(name).to_have_text(HOSTILE)
    name.click()
    expect(page.locator('dialog.panel h2')).to_have_text(HOSTILE)
    page.keyboard.press('Escape')
    point = page.locator('.map circle.rated')
    expect(point).to_have_count(1)
    point.click(force=True)
    expect(page.locator('.map-caption strong')).to_have_text(HOSTILE)
    page.get_by_role('button', name='remove ' + HOSTILE).click()
    rate(page, 'drama 04')
    page.locator('.settings summary').click()
    page.get_by_label('Condition').fill('title == "<b>x</b>"')
    page.get_by_label('Condition').press('Enter')
    expect(page.locator('#condition-error')).to_contain_text('<b>x</b>')
    assert page.evaluate('window.hacked') is None
    assert page.locator('img').count() == 1  # the logo
    assert page.locator('b').count() == 0


# the server


def test_a_token_is_asked_for_and_kept_for_the_tab(
    tab: OpenTab, films: Recommender
) -> None:
    with serving({'films': films}, token=TOKEN) as server:
        page = tab(server.url, fresh=True)
        dialog = page.locator('dialog.token')
        expect(dialog).to_be_visible()
        for _ in range(3):
            page.keyboard.press('Escape')
        expect(dialog).to_be_visible()
        page.get_by_role('textbox', name='Token').fill('a-wrong-token-of-them')
        page.keyboard.press('Enter')
        expect(dialog).to_contain_text('not the right one')
        page.get_by_role('textbox', name='Token').fill(TOKEN)
        page.keyboard.press('Enter')
        expect(dialog).to_be_hidden()
        rate(page, 'drama 00')
        expected = titles_of(films.fold_in({1: 5}))
        assert listed(page) == expected
        assert TOKEN not in page.url
        page.reload()
        assert listed(page) == expected

        page = tab(f'{server.url}#token={TOKEN}', fresh=True)
        expect(page.locator('.hints button').first).to_be_visible()
        assert page.url == server.url
        assert page.evaluate('Object.values(localStorage).join()').find(TOKEN) < 0
        assert page.wrong == []


def test_the_page_waits_for_a_server_that_stops_and_comes_back(
    tab: OpenTab, films: Recommender
) -> None:
    with serving({'films': films}) as server:
        page = tab(server.url, fresh=True)
        rate(page, 'drama 00')
        listed(page)
        server.stop()
        page.get_by_role('slider', name='rating of Drama 00').press('1')
        notice = page.locator('#notice')
        expect(notice).to_contain_text('The server does not answer')
        notice.get_by_role('button', name='Try again').click()
        expect(notice).to_be_visible()
        server.start()
        expect(notice).to_be_hidden()
        expected = titles_of(films.fold_in({1: 1}))
        expect(page.locator('ol.recommended .title').first).to_have_text(expected[0])
        assert listed(page) == expected


def test_a_page_that_opens_before_the_server_is_ready_asks_again(
    tab: OpenTab, films: Recommender
) -> None:
    with serving({'films': films}) as server:
        page = tab('about:blank', fresh=True)
        page.route('**/api/models', lambda route: route.abort())
        page.goto(server.url)
        expect(page.locator('#notice')).to_contain_text('does not answer')
        page.unroute('**/api/models')
        expect(page.locator('.hints button').first).to_be_visible()
        expect(page.locator('#notice')).to_be_hidden()


def test_a_model_that_is_replaced_is_shown(tab: OpenTab, films: Recommender) -> None:
    ratings, items = planted()
    newer = fitted(ratings[ratings.user > 20], items, n_factors=3)
    with serving({'films': films}) as server:
        page = tab(server.url)
        rate(page, 'drama 00')
        expect(page.locator('#about')).to_contain_text('80 users')
        server.shelf.replace(ServedModel.of('films', newer))
        page.get_by_role('slider', name='rating of Drama 00').press('4')
        expect(page.locator('#about')).to_contain_text('60 users')
        assert listed(page) == titles_of(newer.fold_in({1: 4}))


def test_errors_of_the_server_are_sentences(tab: OpenTab, one: Server) -> None:
    page = tab(one.url)
    problem = {'status': 503, 'title': 'Busy', 'detail': 'too much to do; ask later'}

    def refuse(route: Any) -> None:
        route.fulfill(
            status=503,
            content_type='application/problem+json',
            body=json.dumps(problem),
        )

    page.route('**/api/fold-in*', refuse)
    rate(page, 'drama 00')
    message = page.locator('.message.error')
    expect(message).to_contain_text('Too much to do; ask later.')
    page.unroute('**/api/fold-in*')
    message.get_by_role('button', name='Try again').click()
    expect(message).to_be_hidden()
    assert len(listed(page)) == 10
    page.route('**/api/items*', refuse)
    page.fill('#search', 'comedy')
    expect(page.locator('.search-note:visible')).to_contain_text('Too much to do')


@pytest.mark.parametrize(
    'fragment',
    [
        'ratings=[[1,5],[999,3],["x",1]]',
        'ratings=no&k=1e9&user={&filters=[3]&diversity="x"',
        'filters={"year":{"low":"x"},"none":["a"]}&ratings=[[1,5]]',
        'ratings=[[1,null],[1]]&mode=known&user=1',
        '%%%',
    ],
)
def test_an_address_that_makes_no_sense_does_no_harm(
    fragment: str, tab: OpenTab, one: Server
) -> None:
    page = tab(f'{one.url}#{fragment}')
    expect(page.locator('.hints button, ul.history li').first).to_be_visible()
    page.wait_for_timeout(300)
    wrong = [text for text in page.wrong if not re.search('404|422', text)]
    assert wrong == []


# the map


def test_a_touch_of_the_map_shows_a_title_and_adds_nothing(
    tab: OpenTab, one: Server
) -> None:
    page = tab(one.url, PHONE)
    expect(page.locator('.map circle')).to_have_count(40)
    page.locator('.map circle').nth(3).tap(force=True)
    title = page.locator('.map-caption strong').inner_text()
    assert re.match('Drama|Comedy', title)
    expect(page.locator('ul.history > li')).to_have_count(0)
    page.locator('.map-caption button').tap()
    expect(page.locator('dialog.panel h2')).to_have_text(title)
    page.keyboard.press('Escape')
    rate(page, 'drama 00')
    expect(page.locator('.map circle.rated')).to_have_count(1)
    expect(page.locator('.map circle.top')).to_have_count(10)
    assert page.wrong == []


# how it looks, and for whom


SMALL = """
[...document.querySelectorAll('button, input, select, summary, [role=slider], label')]
    .filter((e) => e.checkVisibility())
    .filter((e) => e.matches('.chip, .modes label, :not(label, label *), .field *'))
    .map((e) => [e.innerText || e.ariaLabel || e.id || e.className,
        e.getBoundingClientRect().height])
    .filter(([, height]) => height < 43.5)
"""


def test_what_is_touched_is_large_enough(tab: OpenTab, two: Server) -> None:
    page = tab(two.url, PHONE)
    expect(page.locator('.hints button').first).to_be_visible()
    rate(page, 'drama 00')
    rate(page, 'drama 04')
    page.locator('.settings summary').click()
    settled(page)
    assert page.evaluate(SMALL) == []
    page.locator('ol.recommended .title').first.click()
    expect(page.locator('ol.similar button').first).to_be_visible()
    assert page.evaluate(SMALL) == []
    assert fits(page)


@pytest.mark.parametrize('width', [DESK, PHONE])
def test_nothing_keeps_people_out(width: int, tab: OpenTab, two: Server) -> None:
    every = ('minor', 'moderate', 'serious', 'critical')
    page = tab(two.url, width, color_scheme='light', reduced_motion='reduce')
    expect(page.locator('.hints button').first).to_be_visible()
    rate(page, 'drama 00')
    page.locator('.settings summary').click()
    page.get_by_label('year from').fill('1961')
    page.get_by_label('year from').blur()
    settled(page)
    page.fill('#search', 'drama')
    expect(page.locator('#search-list [role=option]').first).to_be_visible()
    assert barriers_in_light_and_dark(page, every) == []
    page.locator('ol.recommended .title').first.click()
    expect(page.locator('table.reasons .sum')).to_be_visible()
    expect(page.locator('ol.similar button').first).to_be_visible()
    assert barriers_in_light_and_dark(page, every) == []


def background(page: sync_api.Page) -> str:
    return page.evaluate('getComputedStyle(document.documentElement).backgroundColor')


def test_the_colours_follow_the_system_or_a_choice(tab: OpenTab, one: Server) -> None:
    page = tab(one.url, color_scheme='dark')
    dark = background(page)
    assert tab(one.url, color_scheme='light').evaluate('1') == 1
    page.get_by_role('button', name='Light').click()
    assert background(page) != dark
    page.reload()
    assert background(page) != dark  # remembered
    page.get_by_role('button', name='Dark').click()
    assert background(page) == dark


def test_the_page_allows_no_script_but_its_own(tab: OpenTab, one: Server) -> None:
    page = tab(one.url)
    policy = page.request.get(one.url).headers['content-security-policy']
    assert 'unsafe' not in policy
    page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.hacked = 1';
            document.body.append(script);
        }"""
    )
    assert page.evaluate('window.hacked') is None


def test_every_file_of_the_page_is_in_the_wheel() -> None:
    tree = ast.parse((ROOT / 'setup.py').read_text(encoding='utf-8'))
    patterns = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and str(node.value).startswith('static/')
    ]
    files = [p for p in STATIC.rglob('*') if p.is_file()]
    assert len(files) > 15
    for file in files:
        name = file.relative_to(STATIC.parent).as_posix()
        folders = [p for p in patterns if p.count('/') == name.count('/')]
        assert any(fnmatch.fnmatch(name, pattern) for pattern in folders), name


def test_the_page_and_the_site_have_one_logo() -> None:
    site = ROOT / 'docs/_static/logo.svg'
    assert (STATIC / 'logo.svg').read_bytes() == site.read_bytes()
