"""The page on which films are tried: its models beside the package, and its use.

It runs in a real browser, as tests/test_site.py does.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_site
from in_browser import barriers_in_light_and_dark, sync_api
from scipy.sparse import csr_array
from test_site import SITE, OpenTab

from mf_movielens.bayes import fit_bayes
from mf_movielens.catalog import Catalog
from mf_movielens.data import load
from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.factors import Factors
from mf_movielens.least_squares import Regularization
from mf_movielens.new_users import explain_prediction, read_history
from mf_movielens.plots import natural_title
from mf_movielens.posterior import Posterior, coverage_table
from mf_movielens.recommender import Recommender

base, browser = test_site.base, test_site.browser
tabs, tab = test_site.tabs, test_site.tab
make_figures = pytest.importorskip('make_figures', reason='figures need Pillow')

PLAY = json.loads((SITE / '_static/play.json').read_text(encoding='utf-8'))
BAYES = SITE / '_static/play_bayes.json'
TITLES, IDS = PLAY['titles'], PLAY['ids']
HISTORY = {'Fargo (1996)': 5, 'Titanic (1997)': 1, 'Toy Story (1995)': 4}
STORE = "localStorage.getItem('mf-movielens:play')"


def link_to(history: dict[str, int]) -> str:
    """The fragment of an address with ratings."""
    pairs = [f'{IDS[TITLES.index(title)]}:{stars}' for title, stars in history.items()]
    return '#ratings=' + ','.join(pairs)


LINK = link_to(HISTORY)
TELEPHONE = {'width': 390, 'has_touch': True, 'is_mobile': True}


def recommended(page: sync_api.Page) -> list[str]:
    return page.locator('#recommended .title').all_inner_texts()


def rated(page: sync_api.Page) -> list[str]:
    return page.locator('#play ul.history .title').all_inner_texts()


def offered(page: sync_api.Page) -> list[str]:
    return page.locator('#play .offers .title').all_inner_texts()


def status(page: sync_api.Page) -> str:
    return page.inner_text('#play [role=status]')


@pytest.fixture
def play(base: str, tab: OpenTab) -> OpenTab:
    """A function that opens the page, with a fragment of its address."""

    def open_page(fragment: str = '', **options: Any) -> sync_api.Page:
        page = tab(f'{base}play.html{fragment}', fresh=True, **options)
        page.wait_for_function('window.play')
        return page

    return open_page


# Models of the page and of the package


def evaluate(page: sync_api.Page, module: str, code: str, argument: Any) -> Any:
    """Run code with the names of a module of the page, and an argument `x`."""
    address = page.url.split('play.html')[0] + f'_static/play/{module}.js'
    return page.evaluate(
        f'async ([address, x]) => {{ const module = await import(address); {code} }}',
        [address, argument],
    )


def small_factors(regularization: Regularization, seed: int = 0) -> Factors:
    """Factors of items that are whole numbers of steps, so that a byte holds them."""
    rng = np.random.default_rng(seed)
    whole = rng.integers(-90, 90, (40, 6)).astype('float32')
    whole[0] = 127
    items = whole * np.float32(2**-7)
    return Factors(
        mu=0.0,
        user_bias=np.zeros(1, 'float32'),
        item_bias=np.zeros(40, 'float32'),
        user_factors=np.zeros((1, 6), 'float32'),
        item_factors=items,
        scale=(1.0, 5.0),
        link='score',
        regularization=regularization,
    )


SMALL_HISTORY = {3: 5.0, 17: 1.0, 8: 4.0, 30: 2.0}


@pytest.mark.parametrize('alpha, times', [(0.5, 1), (0.125, 4), (8, 0.25)])
def test_scores_and_reasons_are_exactly_those_of_the_package(
    alpha: float, times: float, play: OpenTab
) -> None:
    default = Regularization(0.25, damping=2.0, alpha=0.5)
    data = make_figures.ranking_data(small_factors(default), np.arange(40))
    found = evaluate(
        play(),
        'ranking',
        """const model = new module.RankingModel(x.data);
        model.set(x.alpha, x.times);
        const ratings = new Map(x.history);
        return {
            scores: model.scores(ratings),
            reasons: model.scores(ratings).map((_, i) => model.reasons(i, ratings)),
        };""",
        {
            'data': data,
            'alpha': alpha,
            'times': times,
            'history': [*SMALL_HISTORY.items()],
        },
    )
    chosen = Regularization(0.25 * times, damping=2.0 * times, alpha=alpha)
    factors = small_factors(chosen)
    table = csr_array(
        ([*SMALL_HISTORY.values()], ([0] * 4, [*SMALL_HISTORY])), shape=(1, 40)
    )
    expected = factors.fold_in(table).scores(0)
    np.testing.assert_allclose(found['scores'], expected, atol=2e-5)
    catalog = Catalog(Vocabulary(range(40)), None, np.ones(40))
    history = read_history(SMALL_HISTORY, catalog, (1, 5))
    for item in (0, 5, 39):
        parts = explain_prediction(factors, catalog, item, history)
        by_item = dict(zip(parts['item'], parts['score']))
        of_page = dict(found['reasons'][item])
        assert set(of_page) == set(by_item)
        for rated_item, size in by_item.items():
            assert of_page[rated_item] == pytest.approx(size, abs=1e-6)
        assert sum(of_page.values()) == pytest.approx(found['scores'][item], abs=1e-12)


@pytest.fixture(scope='module')
def real_ratings(real_archive: Path) -> Ratings:
    ml = load('ml-100k')
    return Ratings.from_frame(ml.ratings, titles=ml.titles)


def test_the_page_recommends_and_explains_as_the_package_does(
    play: OpenTab, real_archive: Path, real_ratings: Ratings
) -> None:
    """It differs by no more than the rounding of factors to a byte."""
    model = Recommender.fit(real_ratings)
    folded = model.fold_in(HISTORY, k=1682)
    titles = folded.title.map(natural_title)
    expected = folded.assign(title=titles).set_index('title').score
    page = play()
    shown = page.evaluate(
        """history => play.model.recommend(new Map(Object.entries(history).map(
            ([title, stars]) => [play.find(title), stars])), 500)""",
        HISTORY,
    )
    scores = {TITLES[i]: score for i, score in shown}
    top = expected[expected.index.isin(TITLES)].head(10)
    assert max(abs(scores[title] - score) for title, score in top.items()) < 0.003
    assert len({*list(scores)[:10]} & {*top.index}) >= 9
    item = IDS[TITLES.index(top.index[0])]
    parts = model.explain(HISTORY, item).set_index('item').score
    reasons = page.evaluate(
        """([item, history]) => play.model.reasons(item, new Map(Object.entries(history)
            .map(([title, stars]) => [play.find(title), stars])))""",
        [IDS.index(item), HISTORY],
    )
    assert {IDS[i] for i, _ in reasons} == {*parts.index}
    assert max(abs(size - parts[IDS[i]]) for i, size in reasons) < 0.003


def information(factors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(n,) what a rating of each item would add, by the determinant."""
    logs = [np.linalg.slogdet(matrix + np.outer(q, q))[1] for q in factors]
    return np.array(logs) - np.linalg.slogdet(matrix)[1]


def test_the_films_that_are_offered_tell_most(play: OpenTab) -> None:
    page = play()
    whole = np.frombuffer(make_figures.base64.b64decode(PLAY['factors']['bytes']), 'i1')
    step, gram = (
        np.frombuffer(make_figures.base64.b64decode(text), 'f4').astype('float64')
        for text in (PLAY['factors']['step'], PLAY['gram'])
    )
    factors = whole.reshape(-1, 64) * step
    matrix = PLAY['alpha'] * gram.reshape(64, 64)
    expected: list[int] = []
    for _ in range(3):
        constant = PLAY['reg'] * len(expected) + PLAY['damping']
        gain = information(factors, matrix + constant * np.eye(64)) * PLAY['known']
        gain[expected] = -1
        expected.append(int(gain.argmax()))
        matrix = matrix + np.outer(factors[expected[-1]], factors[expected[-1]])
    assert offered(page) == [TITLES[item] for item in expected]


# Uncertainty


def page_predictions(
    page: sync_api.Page, data: Any, history: dict[int, float], items: list[int]
) -> list[dict[str, Any]]:
    """What the page predicts with data of a Bayesian model."""
    return evaluate(
        page,
        'bayes',
        """const model = new module.BayesModel(x.data);
        return model.predict(new Map(x.history), x.items);""",
        {'data': data, 'history': [*history.items()], 'items': items},
    )


def with_many_draws(posterior: Posterior, rows: np.ndarray, n: int) -> Posterior:
    """The same model for some items, with each sample `n` times.

    A fold-in draws one row of the user for each sample. The page has their
    distribution instead, to which many draws come close.
    """
    repeated = {
        name: np.repeat(getattr(posterior, name), n, axis=0)
        for name in (
            'noise_sd',
            'noise_shape',
            'cutpoints',
            'population_mean',
            'population_precision',
        )
    }
    n_samples = n * len(posterior)
    return replace(
        posterior,
        item_samples=np.repeat(posterior.item_samples[:, rows], n, axis=0),
        user_samples=np.zeros((n_samples, 1, posterior.n_factors + 1), 'float32'),
        user_noise_scale=np.ones((n_samples, 1)),
        implicit_effects=np.zeros((n_samples, 0, posterior.n_factors + 1)),
        **repeated,
    )


def check_predictions(
    page: sync_api.Page,
    posterior: Posterior,
    rows: np.ndarray,
    history: dict[int, float],
    tolerance: float,
) -> None:
    """Compare the page with the package; the history has places in `rows`."""
    many = with_many_draws(posterior, rows, 8_000 // len(posterior))
    table = csr_array(
        ([*history.values()], ([0] * len(history), [*history])), shape=(1, len(rows))
    )
    folded = many.fold_in(table, n_iterations=1)
    items = [*range(len(rows))]
    data = make_figures.bayes_data(posterior, rows)
    shown = page_predictions(page, data, history, items)
    credible = folded.credible_intervals(0, items)
    prediction = folded.prediction_intervals(0, items)
    # of 8,000 draws, the ends are less certain than the mean
    for of_page, wanted, times in (
        ([p['mean'] for p in shown], credible['mean'], 1),
        ([p['expected'][0] for p in shown], credible.low, 2),
        ([p['expected'][1] for p in shown], credible.high, 2),
        ([p['rating'][0] for p in shown], prediction.low, 1),
        ([p['rating'][1] for p in shown], prediction.high, 1),
    ):
        np.testing.assert_allclose(of_page, wanted, atol=times * tolerance)


@pytest.mark.parametrize('history', [{}, {1: 1.0, 4: 5.0, 7: 3.0, 9: 4.0}])
def test_bars_are_those_of_the_package(
    history: dict[int, float], play: OpenTab
) -> None:
    """What is left is the noise of 8,000 draws, and the rounding to a byte."""
    rng = np.random.default_rng(0)
    frame = make_figures.pd.DataFrame(
        {
            'user': np.repeat(np.arange(60), 8),
            'item': np.concatenate([rng.permutation(25)[:8] for _ in range(60)]),
            'rating': rng.integers(1, 6, 480),
        }
    )
    settings = make_figures.SMALL_BAYES | {'n_factors': 3, 'n_samples': 40}
    settings |= {'n_burn_in': 20, 'n_kept_samples': 20}
    posterior = fit_bayes(
        Ratings.from_frame(frame, scale=(1, 5)), **settings, prior_scale=1
    )
    check_predictions(play(), posterior, np.arange(12), history, 0.05)


def coverage(
    posterior: Posterior, ratings: Ratings, users: np.ndarray, n: int
) -> tuple[float, float]:
    """Fold in `n` ratings of each user: coverage of the others, width of inner bars."""
    rng = np.random.default_rng(1)
    shuffled = [rng.permutation(np.flatnonzero(ratings.user_ix == u)) for u in users]
    given = np.concatenate([rows[:n] for rows in shuffled])
    others = ratings.take(np.concatenate([rows[n:] for rows in shuffled]))
    place = np.zeros(len(ratings.users), 'int32')
    place[users] = np.arange(len(users))
    places = place[ratings.user_ix[given]], ratings.item_ix[given]
    shape = len(users), len(ratings.items)
    table = csr_array((ratings.rating[given], places), shape=shape)
    folded = posterior.fold_in(table, seed=0, n_iterations=1)
    own = replace(others, user_ix=place[others.user_ix])
    (row,) = coverage_table(folded, own, levels=[0.9]).itertuples()
    ends = folded.credible_intervals(own.user_ix, own.item_ix)
    return float(row.covered), float((ends.high - ends.low).mean())


def test_the_small_bayesian_model_holds_what_the_page_says(
    play: OpenTab, real_archive: Path, real_ratings: Ratings
) -> None:
    """Fitted without 200 users, who are then folded in."""
    users = np.random.default_rng(0).permutation(943)[:200]
    is_new = np.isin(real_ratings.user_ix, users)
    posterior = fit_bayes(real_ratings.take(~is_new), **make_figures.SMALL_BAYES)
    covered, width = coverage(posterior, real_ratings, users, 10)
    assert round(100 * covered) == 91
    assert width == pytest.approx(1.5, abs=0.05)
    _, width = coverage(posterior, real_ratings, users, 0)
    assert width == pytest.approx(1.9, abs=0.05)
    text = (SITE.parent / 'docs/play.md').read_text(encoding='utf-8')
    for quoted in ('91 %', '1.9 stars', '1.5 with ten'):
        assert quoted in text
    rows = real_ratings.items.encode(IDS)
    history = {TITLES.index(title): float(stars) for title, stars in HISTORY.items()}
    page = play()
    few = np.r_[[*history], np.arange(100, 130)]
    short = dict(enumerate(history.values()))
    check_predictions(page, posterior, rows[few], short, 0.05)
    # the file is of a fit to all users
    items = [*range(len(IDS))]
    own = page_predictions(page, json.loads(BAYES.read_text()), history, items)
    data = make_figures.bayes_data(posterior, rows)
    other = page_predictions(page, data, history, items)
    means = np.array([[p['mean'] for p in shown] for shown in (own, other)])
    assert np.corrcoef(means)[0, 1] > 0.9
    assert abs(means[0] - means[1]).mean() < 0.2


def test_samples_are_small_and_come_when_they_are_asked_for(
    base: str, play: OpenTab
) -> None:
    assert BAYES.stat().st_size < 400_000
    assert not {'ratings', 'user', 'users'} & {*json.loads(BAYES.read_text())}
    page = play(LINK)
    asked = []
    page.on('request', lambda request: asked.append(request.url.split('/')[-1]))
    assert 'play_bayes.json' not in page.content().split('data-bayes')[0]
    page.get_by_role('tab', name='How sure?').click()
    page.wait_for_selector('#uncertain li')
    assert asked.count('play_bayes.json') == 1
    assert page.wrong == []


def test_samples_that_cannot_be_loaded_can_be_asked_for_again(play: OpenTab) -> None:
    page = play(LINK)
    page.route('**/play_bayes.json', lambda route: route.abort())
    page.get_by_role('tab', name='How sure?').click()
    page.wait_for_selector('text=could not be loaded')
    page.unroute('**/play_bayes.json')
    page.get_by_role('button', name='Try again').click()
    page.wait_for_selector('#uncertain li')


def widths(page: sync_api.Page) -> dict[str, float]:
    """Widths of the inner bars, by film."""
    return dict(
        page.evaluate(
            """[...document.querySelectorAll('#uncertain > li')].map(li => [
                li.querySelector('.head span').textContent,
                li.querySelector('i.expected').getBoundingClientRect().width])"""
        )
    )


def test_bars_shrink_with_ratings_and_films_can_be_ordered(play: OpenTab) -> None:
    page = play('#tab=uncertainty', reduced_motion='reduce')
    page.wait_for_selector('#uncertain li')
    assert 'Nothing is known of you yet' in page.inner_text('#play .hint:visible')
    before = widths(page)
    for offer in range(3):
        page.locator('.offers .star').nth(5 * offer + 3).click()
    after = widths(page)
    both = before.keys() & after.keys()
    assert len(both) > 3
    assert all(after[title] < before[title] for title in both)
    bars = page.locator('#uncertain li')
    assert 'expected' in bars.first.inner_text()
    first = [*after]
    page.get_by_label('Order by').select_option('low')
    assert [*widths(page)] != first
    ends = page.evaluate("""
        [...document.querySelectorAll('#uncertain i.expected')].map(
            bar => Math.round(100 * bar.getBoundingClientRect().left))
    """)
    assert ends == sorted(ends, reverse=True)


# Films to rate at once


def test_one_touch_rates_a_film_and_the_next_one_takes_its_place(
    play: OpenTab,
) -> None:
    page = play()
    assert '0 of 10' in page.inner_text('#play .progress')
    assert 'Rate a film' in page.inner_text('#play .hint:visible')
    assert recommended(page) == []
    first, *others = offered(page)
    star = page.get_by_role('button', name=f'{first}: 4 stars')
    star.click()
    assert rated(page) == [first]
    assert '1 of 10' in page.inner_text('#play .progress')
    assert len(recommended(page)) == 10
    assert 'Recommended first' in status(page)
    new, *same = offered(page)
    assert same == others
    assert new not in (first, *others)
    focused = page.evaluate('document.activeElement.ariaLabel')
    assert focused == f'{new}: 4 stars'
    slider = page.get_by_role('slider', name=f'rating of {first}')
    assert slider.get_attribute('aria-valuenow') == '4'


def test_a_film_that_was_not_seen_makes_room_and_is_remembered(play: OpenTab) -> None:
    page = play()
    first = offered(page)[0]
    page.get_by_role('button', name=f'{first}: not seen').click()
    assert first not in offered(page)
    assert rated(page) == []
    assert '0 of 10' in page.inner_text('#play .progress')
    page.reload()
    page.wait_for_function('window.play')
    assert first not in offered(page)


def test_a_double_click_answers_for_one_film(play: OpenTab) -> None:
    page = play()
    first = offered(page)[0]
    page.get_by_role('button', name=f'{first}: 5 stars').dblclick()
    assert rated(page) == [first]


def test_films_that_are_offered_are_known_and_varied(play: OpenTab) -> None:
    page = play()
    seen = []
    for answer in range(10):
        seen.append(TITLES.index(offered(page)[0]))
        page.locator('.offers .star').nth(answer % 5).click()
    assert min(PLAY['known'][item] for item in seen) > 0.2
    assert len({PLAY['genre'][item] for item in seen}) >= 5
    assert 'enough' in page.inner_text('#play .progress')
    page.reload()
    page.wait_for_function('window.play')
    assert not page.locator('.offers').is_visible()  # folded when there are ten
    assert len(rated(page)) == 10


# Reasons


def test_a_touch_on_a_title_shows_reasons_and_adds_nothing(play: OpenTab) -> None:
    page = play(LINK, **TELEPHONE)
    title = page.locator('#recommended .title').nth(1)
    assert title.get_attribute('aria-expanded') == 'false'
    title.tap()
    assert title.get_attribute('aria-expanded') == 'true'
    row = page.locator('#recommended > li').nth(1)
    numbers = [
        float(text.replace('−', '-'))
        for text in row.locator('td.number').all_inner_texts()
    ]
    *parts, total = numbers
    assert len(parts) == len(HISTORY)
    assert sum(parts) == pytest.approx(total, abs=0.0021)
    assert f'{total:.2f}' == row.locator('small.number').inner_text()
    assert 'because of' in row.inner_text()
    assert len(rated(page)) == len(HISTORY)


def test_a_recommended_film_can_be_rated_where_it_is(play: OpenTab) -> None:
    page = play(LINK)
    first = recommended(page)[0]
    page.locator('#recommended .title').first.click()
    page.get_by_role('slider', name=f'rating of {first}').press('4')
    assert rated(page)[0] == first
    assert first not in recommended(page)
    assert page.evaluate('document.activeElement.className') == 'link title'


# Sliders


def test_sliders_change_the_list_and_a_button_brings_it_back(play: OpenTab) -> None:
    page = play(LINK)
    before = page.inner_text('#recommended')
    alpha = page.get_by_role('slider', name='α')
    assert alpha.get_attribute('aria-valuetext') == '0.4, the default'
    for _ in range(8):
        alpha.press('ArrowLeft')
    assert alpha.get_attribute('aria-valuetext') == '0.025'
    assert page.inner_text('#recommended') != before
    expected = page.evaluate("""
        play.model.set(0.025, 1), play.model.recommend(play.ratings).map(
            ([item, score]) => [play.data.titles[item], score.toFixed(2)])
    """)
    scores = page.locator('#recommended small.number').all_inner_texts()
    assert [*zip(recommended(page), scores)] == [tuple(pair) for pair in expected]
    page.get_by_role('slider', name='λ').press('End')
    assert 'δ = 128' in page.inner_text('#play .sliders')
    assert (
        'alpha=-4&lambda=5'
        in page.wait_for_function(
            "location.hash.includes('lambda') && location.hash"
        ).json_value()
    )
    page.wait_for_function(
        "document.querySelector('[role=status]').textContent.includes('changed')"
    )
    page.get_by_role('button', name='Back to the defaults').click()
    assert page.inner_text('#recommended') == before
    assert alpha.get_attribute('aria-valuetext') == '0.4, the default'


@pytest.mark.parametrize('motion', ['no-preference', 'reduce'])
def test_rows_move_unless_that_is_not_wanted(motion: str, play: OpenTab) -> None:
    page = play(LINK, reduced_motion=motion)
    page.locator('#lambda').scroll_into_view_if_needed()
    n_moving = page.evaluate("""
        const input = document.getElementById('alpha');
        input.value = -5;
        input.dispatchEvent(new Event('input', { bubbles: true }));
        [...document.querySelectorAll('#recommended > li')].filter(
            li => li.getAnimations().length).length
    """)
    assert (n_moving > 0) == (motion == 'no-preference')


def test_nothing_is_recommended_with_a_score_of_zero(play: OpenTab) -> None:
    page = play(LINK + '&alpha=5&lambda=5')
    assert '0.00' not in page.locator('#recommended small.number').all_inner_texts()
    page.goto(page.url.split('#')[0])
    page.evaluate('localStorage.clear()')
    page = play(link_to({'Fargo (1996)': 1}))
    assert recommended(page) == []
    assert 'one star' in page.inner_text('#play .hint:visible')
    page = play(link_to({'Fargo (1996)': 2}) + '&alpha=5&lambda=5')
    assert recommended(page) == []
    assert 'above 0.00' in page.inner_text('#play .hint:visible')


# What is kept, and what a link does


def test_ratings_are_in_the_address_and_kept(play: OpenTab) -> None:
    page = play(LINK)
    titles, found = rated(page), recommended(page)
    page.get_by_role('slider', name='rating of Titanic').press('3')
    page.wait_for_function("location.hash.includes(':3')")
    page.goto(page.url.split('#')[0] + '?again')
    page.wait_for_function('window.play')
    assert rated(page) == titles
    assert recommended(page) != found
    slider = page.get_by_role('slider', name='rating of Titanic')
    assert slider.get_attribute('aria-valuenow') == '3'


def test_a_reload_keeps_what_the_address_does_not_have_yet(play: OpenTab) -> None:
    page = play()
    page.locator('.offers .star').nth(3).click()
    page.wait_for_function("location.hash.includes(':4')")
    with page.expect_navigation():
        page.evaluate(
            "document.querySelectorAll('.offers .star')[4].click(), location.reload()"
        )
    page.wait_for_function('window.play')
    assert len(rated(page)) == 2
    assert not page.locator('#play .link-note').is_visible()


def test_a_link_does_not_replace_own_ratings_unasked(base: str, play: OpenTab) -> None:
    page = play(LINK)
    own, kept = rated(page), page.evaluate(STORE)
    other = f'{base}play.html' + link_to({'Alien (1979)': 5, 'Heat (1995)': 2})
    page.evaluate('address => { location.href = address }', other)
    page.wait_for_selector('#play .link-note:visible')
    assert rated(page) == ['Heat (1995)', 'Alien (1979)']
    assert 'Yours are kept' in status(page)
    page.get_by_role('slider', name='rating of Heat').press('5')
    assert page.evaluate(STORE) == kept
    page.get_by_role('button', name='Back to mine').click()
    assert rated(page) == own
    assert page.evaluate(STORE) == kept
    assert not page.locator('#play .link-note').is_visible()
    page.goto(f'{base}play.html?again' + link_to({'Alien (1979)': 5}))
    page.wait_for_selector('#play .link-note:visible')
    page.get_by_role('button', name='Replace mine').click()
    assert rated(page) == ['Alien (1979)']
    assert page.evaluate(STORE) != kept


def test_a_link_that_makes_no_sense_does_no_harm(play: OpenTab) -> None:
    page = play('#ratings=999999:5,100:9,x,50:5,1e99:nan&alpha=99&tab=z')
    assert rated(page) == ['Star Wars (1977)']
    alpha = page.get_by_role('slider', name='α')
    assert alpha.get_attribute('aria-valuetext') == '12.8'
    assert page.wrong == []
    page = play('#how-it-works')
    assert rated(page) == []
    assert page.wrong == []


def test_all_can_be_removed_and_brought_back(play: OpenTab) -> None:
    page = play(LINK)
    titles = rated(page)
    page.get_by_role('button', name='Remove all').click()
    assert rated(page) == recommended(page) == []
    assert page.evaluate(STORE) is None
    page.wait_for_function("!location.hash.includes('ratings')")
    assert page.evaluate('document.activeElement.textContent') == 'Undo'
    page.keyboard.press('Enter')
    assert rated(page) == titles


def test_the_link_is_copied(play: OpenTab) -> None:
    page = play(LINK, permissions=['clipboard-read', 'clipboard-write'])
    page.get_by_role('button', name='Copy a link').click()
    page.wait_for_function(
        "document.querySelector('[role=status]').textContent.includes('copied')"
    )
    copied = page.evaluate('navigator.clipboard.readText()')
    assert copied.endswith('play.html' + LINK)


def test_the_link_can_be_copied_by_hand(play: OpenTab) -> None:
    page = play(LINK)
    page.evaluate('() => { navigator.clipboard.writeText = () => Promise.reject() }')
    page.get_by_role('button', name='Copy a link').click()
    link = page.get_by_label('Link to these ratings')
    assert link.input_value().endswith(LINK)


# Titles, keys and touch


def test_a_film_is_added_by_a_part_of_its_title(play: OpenTab) -> None:
    page = play()
    page.fill('#film', 'godfa')
    page.press('#film', 'Enter')
    assert 'The Godfather (1972) added' in status(page)
    assert rated(page) == ['The Godfather (1972)']
    page.fill('#film', 'no such film')
    page.press('#film', 'Enter')
    assert 'No film here is called' in status(page)
    assert page.wrong == []


def test_a_point_of_the_map_has_a_name(play: OpenTab) -> None:
    page = play()
    page.locator('#play svg circle').nth(3).hover(force=True)
    assert page.inner_text('#play .tip')


def test_a_touch_on_the_map_tells_a_title_and_adds_nothing(play: OpenTab) -> None:
    page = play(**TELEPHONE)
    page.locator('#play .map svg').tap(position={'x': 150, 'y': 150})
    title = page.inner_text('#play .map-caption strong')
    assert title in TITLES
    assert rated(page) == []
    page.locator('#play .map-caption button').tap()
    assert rated(page) == [title]


def test_the_example_is_shown_when_it_is_asked_for(play: OpenTab) -> None:
    page = play()
    page.get_by_role('button', name='example').click()
    assert rated(page) == PLAY['example'][::-1]
    assert len(recommended(page)) == 10


def test_tabs_are_moved_between_by_arrows(play: OpenTab) -> None:
    page = play(LINK)
    page.get_by_role('tab', name='Recommended').focus()
    page.keyboard.press('ArrowRight')
    sure = page.get_by_role('tab', name='How sure?')
    assert sure.get_attribute('aria-selected') == 'true'
    assert page.evaluate('document.activeElement.id') == 'tab-uncertainty'
    assert page.locator('#panel-uncertainty').is_visible()
    assert not page.locator('#panel-recommended').is_visible()
    page.keyboard.press('Home')
    assert page.locator('#panel-recommended').is_visible()


NAME_OF_FOCUS = """
(e => e.ariaLabel || e.id || e.textContent)(document.activeElement)
"""


def test_keys_reach_everything_and_leave_it_again(play: OpenTab) -> None:
    page = play(LINK)
    page.locator('#play summary').first.focus()
    names = []
    inside = 'document.getElementById("play").contains(document.activeElement)'
    while page.evaluate(inside) and len(names) < 100:
        names.append(page.evaluate(NAME_OF_FOCUS))
        page.keyboard.press('Tab')
    assert 30 < len(names) < 100
    wanted = ['film', 'alpha', 'lambda', 'Copy a link', 'Remove all']
    assert {*wanted, recommended(page)[0], 'rating of Fargo (1996)'} <= {*names}


SMALL_TARGETS = """
[...document.querySelectorAll(
    '#play :is(button, input, select, summary, [role=slider])')].filter(
    e => e.checkVisibility()).map(e => {
        const { width, height } = e.getBoundingClientRect();
        return [e.ariaLabel || e.textContent || e.id, width, height];
    }).filter(([name, width, height]) => width < 43.5 || height < 43.5)
"""


def test_what_is_touched_is_large_enough_and_fits(play: OpenTab) -> None:
    page = play(LINK, **TELEPHONE)
    page.locator('#play summary', has_text='Settings').tap()
    page.locator('#recommended .title').first.tap()
    assert page.evaluate(SMALL_TARGETS) == []
    assert page.evaluate('document.documentElement.scrollWidth') <= 390
    page.get_by_role('tab', name='How sure?').tap()
    page.wait_for_selector('#uncertain li')
    assert page.evaluate(SMALL_TARGETS) == []
    assert page.evaluate('document.documentElement.scrollWidth') <= 390


@pytest.mark.parametrize('width', [390, 1280])
def test_nothing_keeps_people_out(width: int, play: OpenTab) -> None:
    page = play(width=width, color_scheme='light', reduced_motion='reduce')
    impacts = 'serious', 'critical'
    assert barriers_in_light_and_dark(page, impacts) == []
    page.locator('.offers .star').nth(4).click()
    page.locator('#recommended .title').first.click()
    assert barriers_in_light_and_dark(page, impacts) == []
    page.get_by_role('tab', name='How sure?').click()
    page.wait_for_selector('#uncertain li')
    assert barriers_in_light_and_dark(page, impacts) == []


def test_what_happens_is_told_politely(play: OpenTab) -> None:
    page = play()
    region = page.locator('#play [role=status]')
    assert region.count() == 1
    assert page.locator('#play [aria-live=assertive], #play [role=alert]').count() == 0
    page.locator('.offers .star').first.click()
    assert '1 star' in status(page)
