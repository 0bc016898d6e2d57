"""Put plausible bugs into copies of the package, one in each, and run the tests.

`python benchmarks/planted.py` writes planted.csv: each bug, and the test that found it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pandas as pd
from commit import ROOT, commit

TABLE = ROOT / 'mf_movielens/results/planted.csv'
COLUMNS = ['bug', 'module', 'found_by', 'commit']
TIMEOUT = 900


class Bug(NamedTuple):
    """A change of a module that should make a test fail."""

    name: str
    """What it makes wrong."""
    module: str
    before: str
    """A text that occurs in the module once."""
    after: str
    tests: str
    """Names of test files, without `test_`."""


# The six that no test noticed in an earlier version come first.
BUGS = [
    Bug(
        'the seed of ALS is ignored',
        'als',
        '        rng = np.random.default_rng(seed)\n        items = rng.normal(0, 0.1',
        '        rng = np.random.default_rng(0)\n        items = rng.normal(0, 0.1',
        'seeds als',
    ),
    Bug(
        'of two items of one title, the first is taken silently',
        'catalog',
        'if len(called) > 1:',
        'if len(called) > 1e9:',
        'titles recommender',
    ),
    Bug(
        'the scatter of the population mean is left out',
        'gibbs',
        '            + n / (n + 1) * np.outer(average, average)\n',
        '',
        'sampler bayes',
    ),
    Bug(
        'the Jacobian of the step of the noise shape is left out',
        'gibbs',
        'gammas + a * log_sum - a / 10 + np.log(a)',
        'gammas + a * log_sum - a / 10',
        'sampler bayes',
    ),
    Bug(
        'the user-day biases of a new user count as noise',
        'posterior',
        'noise = share * residual + self.day_sd * np.sqrt(share) * standard',
        'noise = residual',
        'posterior new_users',
    ),
    Bug(
        'implicit feedback of new users is divided by the number of their ratings',
        'posterior',
        'posterior.population_mean + effects / np.sqrt(n)',
        'posterior.population_mean + effects / n',
        'posterior new_users bayes',
    ),
    Bug(
        'conjugate gradients forget the last direction',
        'least_squares',
        'beta = norm / norm_before',
        'beta = np.float32(0)',
        'least_squares',
    ),
    Bug(
        'the damping of biases is dropped',
        'baselines',
        'np.maximum(self.counts + damping, 1e-9)',
        'np.maximum(self.counts, 1e-9)',
        'baselines',
    ),
    Bug(
        'the last item that a user has seen is recommended',
        'ranking',
        'is_seen = seen < seen_end and seen_items[seen] == item',
        'is_seen = seen < seen_end - 1 and seen_items[seen] == item',
        'ranking',
    ),
    Bug(
        'the weights of EASE are transposed',
        'ease',
        'weights[own, own.start :] = rows * factor[own.start :]\n'
        '        weights[own.start :, own] = rows.T * factor[own]',
        'weights[own.start :, own] = (rows * factor[own.start :]).T\n'
        '        weights[own, own.start :] = (rows.T * factor[own]).T',
        'ease',
    ),
    Bug(
        'the discount of nDCG is off by one',
        'ranking',
        'gain = 1 / np.log2(rank + 1)',
        'gain = 1 / np.log2(rank + 2)',
        'ranking',
    ),
    Bug(
        'a file is written in place',
        'storage',
        '    temporary = _temporary_path(path)\n    try:\n        write(temporary)\n'
        '        # The data',
        '    temporary = path\n    try:\n        write(temporary)\n        # The data',
        'faults reading recommender',
    ),
    Bug(
        'the bootstrap ignores its groups',
        'metrics',
        'groups = np.arange(len(values)) if groups is None else np.asarray(groups)',
        'groups = np.arange(len(values))',
        'properties evaluation_users',
    ),
    Bug(
        'the degrees of freedom leave out the coefficients of features',
        'gibbs',
        'sample_wishart(rng, d + n + n_coefficients, inverse_scale)',
        'sample_wishart(rng, d + n, inverse_scale)',
        'sampler',
    ),
    Bug(
        'the best weights of early stopping are those of the last epoch',
        'training',
        'run.best = [w.numpy() for w in run.net.weights]',
        'run.best = run.net.weights',
        'training',
    ),
    Bug(
        'users with exactly n ratings lose all of them',
        'splits',
        '& (n_ratings > n)',
        '& (n_ratings >= n)',
        'properties evaluation_users',
    ),
    Bug(
        'the damping of users and that of items are swapped',
        'baselines',
        'item_bias = items.biases(user_bias, item_damping)\n'
        '        user_bias = users.biases(item_bias, user_damping)',
        'item_bias = items.biases(user_bias, user_damping)\n'
        '        user_bias = users.biases(item_bias, item_damping)',
        'baselines',
    ),
    Bug(
        'items are similar by the plain cosine of factors that rank',
        'similarity',
        'if weights is None or weights.alpha is None or not predictor.n_factors:',
        'if True:',
        'recommender ials',
    ),
    Bug(
        'shards come in the same order in each epoch',
        'training',
        'shards.shuffled(seed, epoch)',
        'shards.shuffled(seed, first_epoch)',
        'training shards',
    ),
    Bug(
        'of equal scores, the item with the higher row comes first',
        'ranking',
        '(score == other_score and item > other_item)',
        '(score == other_score and item < other_item)',
        'ranking',
    ),
    Bug(
        'items count as liked from half way up the scale',
        'ranking',
        'return low + 0.75 * (high - low)',
        'return low + 0.5 * (high - low)',
        'ranking',
    ),
    Bug(
        'the gram matrix of all pairs has no weight',
        'least_squares',
        'per_row[:k] += np.float32(regularization.alpha) * sums',
        'per_row[:k] += sums',
        'least_squares objectives',
    ),
    Bug(
        'a row is regularized as if it had one rating more',
        'least_squares',
        'diagonal = weights.per_row[c] + np.float32(n) * weights.per_rating[c]',
        'diagonal = weights.per_row[c] + np.float32(n + 1) * weights.per_rating[c]',
        'least_squares objectives',
    ),
    Bug(
        'weights of ratings do not count in the residuals',
        'least_squares',
        'block.targets[j] = root * target',
        'block.targets[j] = target',
        'least_squares decay',
    ),
    Bug(
        'the prior mean of a row is not rotated to the principal axes',
        'least_squares',
        'added: np.ndarray = (row_weights[:, None] * means) @ self.axes',
        'added: np.ndarray = row_weights[:, None] * means',
        'features_ials',
    ),
    Bug(
        'the half-life is counted from the oldest rating',
        'least_squares',
        'age = (float(seconds.max()) - seconds',
        'age = (seconds - float(seconds.min()) - 0 * seconds',
        'decay',
    ),
    Bug(
        'the diagonal of EASE is left as it is',
        'ease',
        '        weights[own.start :, own] = rows.T * factor[own]\n'
        '    np.fill_diagonal(weights, 0)',
        '        weights[own.start :, own] = rows.T * factor[own]',
        'ease item_weights',
    ),
    Bug(
        'a blend weighs its parts the other way round',
        'blend',
        'return (1 - shares) * of_factors + shares * of_weights',
        'return shares * of_factors + (1 - shares) * of_weights',
        'blend',
    ),
    Bug(
        'new items of a blend are scored by item weights as well',
        'blend',
        'shares[self.factors.item_bias == 0] = 0',
        'pass',
        'blend features_ials',
    ),
    Bug(
        'an item counts among its own neighbours',
        'item_knn',
        '        total[first + row] = 0\n',
        '',
        'item_weights blend',
    ),
    Bug(
        'nearest neighbours are not divided by the activity of users',
        'item_knn',
        'np.sqrt(users * popularity[targets.indices])',
        'np.sqrt(popularity[targets.indices])',
        'item_weights blend',
    ),
    Bug(
        'rules do not look at the items that a quota still needs',
        'rules',
        'if missing.sum() >= k - len(chosen):',
        'if missing.sum() > k - len(chosen):',
        'rules',
    ),
    Bug(
        'diversity is measured to the last item alone',
        'rules',
        'nearest = np.maximum(nearest, alike[best]) if chosen[1:]',
        'nearest = alike[best].copy() if chosen[1:]',
        'rules',
    ),
    Bug(
        'less popular items gain by the discount of popularity',
        'rules',
        'excess = np.maximum(popularity - popularity.mean(), 0) / spread',
        'excess = (popularity - popularity.mean()) / spread',
        'rules',
    ),
    Bug(
        'a value and a column that change sides keep the sign',
        'rules',
        'left, right, kind = right, left, _MIRRORED.get(kind, kind)',
        'left, right = right, left',
        'rules',
    ),
    Bug(
        'least misery is the highest score',
        'rules',
        "'least_misery': np.min",
        "'least_misery': np.max",
        'rules',
    ),
    Bug(
        'users without ratings are as similar as others',
        'similarity',
        'cosines[lengths == 0] = -np.inf\n    return cosines\n\n\ndef count_in_common',
        'return cosines\n\n\ndef count_in_common',
        'rules recommender',
    ),
    Bug(
        'an update keeps the old rating of a pair',
        'updating',
        "'last': new,",
        "'last': old,",
        'updating',
    ),
    Bug(
        'counts of a pair are replaced where they are to be added',
        'updating',
        "return 'sum' if kind == 'counts' else 'last'",
        "return 'last'",
        'updating',
    ),
    Bug(
        'an update by the same ratings counts as new',
        'updating',
        'is_changed = merged != old',
        'is_changed = merged == merged',
        'updating',
    ),
    Bug(
        'users are not refitted after the items',
        'updating',
        '        refit.rows(users, merged.user_ix, items, n_steps)\n',
        '',
        'updating',
    ),
    Bug(
        'an update forgets how many ratings came before',
        'updating',
        "n_since_fit = settings.get('n_ratings_since_fit', 0)\n    n_since_fit += ",
        'n_since_fit = ',
        'updating',
    ),
    Bug(
        'a map of features is not centred',
        'feature_maps',
        'shift = self.row_mean - self.feature_means @ self.weights',
        'shift = self.row_mean',
        'features_ials',
    ),
    Bug(
        'rows without features get more than the mean',
        'feature_maps',
        '        means[np.diff(values.indptr) == 0] = self.row_mean\n',
        '',
        'features_ials',
    ),
    Bug(
        'exported vectors leave out the biases of items',
        'export',
        'items = np.column_stack([factors.item_factors, factors.item_bias])',
        'items = np.column_stack([factors.item_factors, 0 * factors.item_bias])',
        'export',
    ),
    Bug(
        'a time split puts the newest ratings into training',
        'splits',
        'is_test = timestamps > np.quantile(timestamps, 1 - test_fraction)',
        'is_test = timestamps < np.quantile(timestamps, test_fraction)',
        'properties evaluation_users',
    ),
    Bug(
        'a folded-in rating is judged as well',
        'evaluation',
        'return is_history & is_used, ~is_history & is_used',
        'return is_history & is_used, is_used',
        'evaluation_users',
    ),
    Bug(
        'ids without zeros before them are those with them',
        'evaluation',
        'convert = str if vocabulary.is_text else parse_id',
        'convert = str if vocabulary.is_text else int',
        'evaluation_users recommender updating',
    ),
    Bug(
        'plays with a long tail are stars',
        'kinds',
        'if len(positive.values) > 20 and high >= _LONG_TAIL * median:\n'
        '        return True',
        'if len(positive.values) > 20 and high >= _LONG_TAIL * median:\n'
        '        return False',
        'kinds',
    ),
    Bug(
        'a sign of no rating counts as a rating',
        'kinds',
        'if value in _SIGNS_OF_NONE and _is_apart(value, others):',
        'if False:',
        'kinds text_files',
    ),
    Bug(
        'utilities above a cutpoint belong to the category below',
        'gibbs',
        'ends = np.concatenate([[-_MAX_UTILITY], cutpoints, [_MAX_UTILITY]])',
        'ends = np.concatenate([[-_MAX_UTILITY], cutpoints - 0.05, [_MAX_UTILITY]])',
        'sampler bayes',
    ),
    Bug(
        'the noise of each user is drawn without the number of their ratings',
        'gibbs',
        'rng.gamma(shape + n_ratings / 2) / (shape + squares / 2)',
        'rng.gamma(shape + n_ratings) / (shape + squares / 2)',
        'sampler bayes',
    ),
    Bug(
        'the covariance root is transposed',
        'gibbs',
        'return np.linalg.inv(np.linalg.cholesky(precision))',
        'return np.linalg.inv(np.linalg.cholesky(precision)).T',
        'sampler',
    ),
    Bug(
        'intervals are those of the half level',
        'posterior',
        'low, high, mass = _shortest_ranges(table, self.rating_values, level)',
        'low, high, mass = _shortest_ranges(table, self.rating_values, level / 2)',
        'posterior',
    ),
    Bug(
        'recall is divided by the length of the list',
        'ranking',
        "'recall': n_hits / n_relevant",
        "'recall': n_hits / k",
        'ranking',
    ),
    Bug(
        'average precision is divided by the hits',
        'ranking',
        'precision_at_hits.sum(axis=1) / n_relevant',
        'precision_at_hits.sum(axis=1) / np.maximum(n_hits, 1)',
        'ranking',
    ),
    Bug(
        'the weight of a count grows in proportion to it',
        'ials',
        "found['count_growth'] = _COUNT_GROWTH",
        "found['count_growth'] = 1.0",
        'ials kinds',
    ),
    Bug(
        'iALS on dense tables is regularized as on sparse ones',
        'ials',
        'min(0.2, 1.25 * math.sqrt(n_pairs) / len(ratings))',
        'min(0.2, 1.25 * math.sqrt(n_pairs))',
        'ials',
    ),
    Bug(
        'user biases are left out of predictions',
        'factors',
        'x = self.mu + self.user_bias[user] + self.item_bias[item] + dot',
        'x = self.mu + self.item_bias[item] + dot',
        'properties new_users als',
    ),
    Bug(
        'popularity changes more than ties',
        'factors',
        'return (1e-6 * n_ratings / n_ratings.max())',
        'return (1e-1 * n_ratings / n_ratings.max())',
        'ials ranking',
    ),
    Bug(
        'the ratings of a new user are scaled twice',
        'new_users',
        'contributions: np.ndarray = weighted @ solved * equations.targets',
        'contributions: np.ndarray = weighted @ solved * equations.targets**2',
        'new_users',
    ),
    Bug(
        'an item that is rated twice is taken once',
        'new_users',
        '    if again.any():\n        raise RatingsError(',
        '    if again.all() and again.any():\n        raise RatingsError(',
        'new_users titles',
    ),
    Bug(
        'item weights leave ties as they are',
        'item_weights',
        '        scores += bias\n',
        '',
        'item_weights ease',
    ),
    Bug(
        'a gap in a table of features is a zero',
        'features',
        "rows = self.ids.encode(ids.index.tolist(), unknown='ignore')\n        return",
        "rows = self.ids.encode(ids.index.tolist(), unknown='ignore').clip(0)\n"
        '        return',
        'features user_features',
    ),
    Bug(
        'a category that one row has becomes a feature',
        'features',
        'for value in np.flatnonzero(n_rows > 1)]',
        'for value in np.flatnonzero(n_rows > 0)]',
        'features',
    ),
    Bug(
        'codes with zeros before them are numbers',
        'features',
        'if not is_wrong.any() and not are_codes:',
        'if not is_wrong.any():',
        'features',
    ),
    Bug(
        'held-out ratings of the search are those of the training',
        'tuning',
        'cases.append(_Case(split.train, split.test, users))',
        'cases.append(_Case(split.train, split.train, users))',
        'tuning',
    ),
    Bug(
        'settings within the error of the best replace it',
        'tuning',
        'return bool(gain.mean() > spread / math.sqrt(len(gain)))',
        'return bool(gain.mean() > -spread / math.sqrt(len(gain)))',
        'tuning',
    ),
    Bug(
        'a file whose ratings do not fit its tables is opened',
        'model_file',
        '    if predictor.shape != (len(users), len(items)) or '
        'len(start) != len(users) + 1:',
        '    if False:',
        'saved_models recommender fuzz',
    ),
    Bug(
        'a model of counts is saved as one of an older version',
        'model_file',
        '_VERSION_OF_COUNTS * is_newer,',
        '0,',
        'saved_models kinds',
    ),
    Bug(
        'a comma between thousands is decimal',
        'values',
        "_DECIMAL_POINT = Notation('.', \", '\")",
        "_DECIMAL_POINT = Notation('.,', \" '\")",
        'text_files',
    ),
    Bug(
        'the files of an epoch are not shuffled in themselves',
        'shards',
        'return (part.take(rng.permutation(len(part))) for part in parts)',
        'return (part for part in parts)',
        'shards training',
    ),
    Bug(
        'a like without stars has the lowest rating in shards',
        'shards',
        'of_none = 1.0 if are_all_given else self.scale[1]',
        'of_none = 1.0 if are_all_given else self.scale[0]',
        'shards kinds',
    ),
    Bug(
        'the last of several ratings is that of the last row, not of the last time',
        'encoding',
        '        if columns.timestamp is not None:\n'
        '            table = table.sort_values(',
        '        if False:\n            table = table.sort_values(',
        'encoding reading',
    ),
    Bug(
        'counts of a pair are averaged',
        'encoding',
        "{'counts': 'sum', 'likes': 'last'}",
        "{'counts': 'mean', 'likes': 'last'}",
        'encoding kinds',
    ),
    Bug(
        'residuals are never computed anew',
        'bayes',
        'self.residuals -= np.repeat(change, n_ratings)',
        'self.residuals += np.repeat(change, n_ratings)',
        'sampler bayes',
    ),
    Bug(
        'items are drawn before the users have changed',
        'bayes',
        '        of_users = make_regressors(self.users.factors, 1)\n'
        '        self.items.sample_factors(',
        '        of_users = make_regressors(self.users.factors, 0)\n'
        '        self.items.sample_factors(',
        'sampler bayes',
    ),
    Bug(
        'a burn-in sample is kept',
        'bayes',
        'n_burn_in + int(np.ceil(n_samples * (j + 1) / n_kept))',
        'int(np.ceil(n_samples * (j + 1) / n_kept))',
        'bayes',
    ),
    Bug(
        'a token is compared up to its own length only',
        'gate',
        'hmac.compare_digest(own, self.token)',
        'self.token.startswith(own)',
        'serve security',
    ),
    Bug(
        'the limit of requests at once lets one more in',
        'gate',
        'self.n_now >= self.limits.at_once',
        'self.n_now > self.limits.at_once',
        'serve',
    ),
    Bug(
        'a body that is too large is still counted as a request in work',
        'gate',
        '            status, detail = e.args\n            self._leave()\n',
        '            status, detail = e.args\n',
        'serve',
    ),
    Bug(
        'buckets of the histogram are not cumulative',
        'gate',
        "            n += count\n            lines.append(f'{name}_bucket",
        "            n = count\n            lines.append(f'{name}_bucket",
        'serve',
    ),
    Bug(
        'a word in the middle of another counts as the beginning of one',
        'served',
        "0 if c == '\\n' else 2 if c.isalnum() else 1",
        "0 if c == '\\n' else 1",
        'serve',
    ),
    Bug(
        'words of a search are joined by or',
        'served',
        'place = np.maximum(place, self._places(word))',
        'place = np.minimum(place, self._places(word))',
        'serve',
    ),
    Bug(
        'two models of one shape have the same version',
        'served',
        '        found.update(np.ascontiguousarray(array).tobytes())\n',
        '        found.update(str(array.shape).encode())\n',
        'served serve',
    ),
    Bug(
        'descending order of texts is ascending',
        'served',
        "keys.sort_values(ascending=sign > 0, kind='stable')",
        "keys.sort_values(ascending=True, kind='stable')",
        'served serve',
    ),
    Bug(
        'an answer keeps its tag when the model is replaced',
        'api',
        "asked = f'{_PACKAGE} {versions} {request.url.path}?{request.url.query}'",
        "asked = f'{_PACKAGE} {request.url.path}?{request.url.query}'",
        'serve',
    ),
    Bug(
        'workers of a killed server go on, and keep its port',
        'serve',
        '    threading.Thread(target=_end_with_parent, daemon=True).start()\n',
        '',
        'serve',
    ),
    Bug(
        'what is not shown of an explanation is missing from its total',
        'api',
        "        'total': float(frame[unit].sum()),",
        "        'total': float(frame.loc[~is_more, unit].sum()),",
        'serve app',
    ),
    Bug(
        'a health check says 200 while the server stops',
        'api',
        '        503 if shelf.is_stopping else 200,\n',
        '        200,\n',
        'serve',
    ),
    Bug(
        'items excluded by title are compared as ids',
        'api',
        '    excluded = [model.catalog.sure_id(row) for row in asked if row >= 0]\n',
        '    excluded = [*(body.exclude or [])]\n',
        'serve',
    ),
    Bug(
        'a damaged new file takes the old model from the shelf',
        'serve',
        '        if not self.is_replaced():\n            return\n        try:',
        '        if not self.is_replaced():\n'
        '            return\n'
        "        shelf.replace(ServedModel(self.name, '', shelf.get().model))\n"
        '        try:',
        'serve',
    ),
    Bug(
        'a page of another origin may ask without being allowed',
        'serve',
        '            allow_origins=settings.allowed_origins,\n',
        "            allow_origins=['*'],\n",
        'serve',
    ),
    Bug(
        'the first row of a table of records is lost',
        'records',
        '            numbers = range(number + 1, number + len(rows) + 1)\n',
        '            numbers = range(number, number + len(rows))\n',
        'formats fuzz',
    ),
    Bug(
        'a formula error of a workbook is read as a text',
        'records',
        '        if isinstance(value, str) and value in _FORMULA_ERRORS:',
        '        if isinstance(value, str) and value.lower() in _FORMULA_ERRORS:',
        'formats',
    ),
    Bug(
        'a query may write to the database',
        'records',
        '    return sqlite3.SQLITE_OK if action in _READING_ACTIONS '
        'else sqlite3.SQLITE_DENY',
        '    return sqlite3.SQLITE_OK',
        'formats security',
    ),
    Bug(
        'missing words of Arrow become the first word',
        'python_tables',
        'fill_null(-1)',
        'fill_null(0)',
        'formats',
    ),
    Bug(
        'ids of rows and of columns of a sparse matrix are exchanged',
        'python_tables',
        '        user=row_ix if user_ids is None else user_ids[row_ix],\n'
        '        item=column_ix if item_ids is None else item_ids[column_ix],',
        '        user=row_ix if item_ids is None else item_ids[row_ix],\n'
        '        item=column_ix if user_ids is None else user_ids[column_ix],',
        'formats encoding',
    ),
    Bug(
        'the second stream of an xz file is dropped',
        'unpacking',
        '                packed = self._next_stream()\n                if not packed:',
        "                packed = b''\n                if not packed:",
        'formats fuzz',
    ),
    Bug(
        'of two files in a zip archive the first is taken',
        'unpacking',
        '    if len(names) > 1:\n',
        '    if len(names) > 2:\n',
        'formats',
    ),
    Bug(
        'the bias of an item is left out of its vector',
        'export',
        'np.column_stack([factors.item_factors, factors.item_bias])',
        'np.column_stack([factors.item_factors, 0 * factors.item_bias])',
        'export',
    ),
    Bug(
        'a year in the middle of a title is taken for that of the film',
        'movielens_sets',
        "(?:\\s*\\((?!\\d{4}\\))\\w+\\))?\\s*$'",
        "'",
        'data',
    ),
    Bug(
        'users of a set without a table of users are those of the first rows',
        'movielens_sets',
        'np.sort(ratings.user_id.unique())',
        'np.arange(ratings.user_id.nunique()) + 1',
        'data',
    ),
    Bug(
        'a title with another year is found without it',
        'catalog',
        "re.sub(r'\\(\\d{4}\\)$', '', title.strip())",
        "re.sub(r'\\(\\d{4}\\).*$', '', title.strip())",
        'titles',
    ),
    Bug(
        'the folder of compiled code is changed for other libraries, too',
        'compiled',
        '        config.CACHE_DIR = before',
        '        config.CACHE_DIR = config.CACHE_DIR',
        'compiled',
    ),
    Bug(
        'each call compiles anew',
        'compiled',
        '            return declare(cache=True)(function)\n',
        '            return declare()(function)\n',
        'compiled',
    ),
    Bug(
        'the mean of films is joined to the wrong films',
        'frames',
        "    return movies.merge(by_movie, on='movie_id', validate='1:1')",
        "    return movies.join(by_movie.drop(columns='movie_id'), how='inner')",
        'data properties',
    ),
    Bug(
        'labels of flattened columns keep a blank at the end',
        'frames',
        "' '.join(map(str, label)).strip()",
        "' '.join(map(str, label))",
        'data properties',
    ),
    Bug(
        'synthetic data of all seeds are the same',
        'data',
        "rng = np.random.default_rng(check_int('seed', seed, 0))",
        "rng = np.random.default_rng(check_int('seed', seed, 0) * 0)",
        'data seeds',
    ),
    Bug(
        'a set that was asked for by name is replaced by synthetic data',
        'data',
        '        if name:\n            raise\n',
        "        if name == '':\n            raise\n",
        'data',
    ),
    Bug(
        'the network adds the penalty in evaluation, too',
        'model',
        '        if training:\n            self.add_loss',
        '        if training is not None:\n            self.add_loss',
        'training objectives',
    ),
    Bug(
        'the network repeats the product of the Keras example',
        'model',
        'ops.sum(p * q, axis=1)',
        'ops.sum(ops.matmul(p, ops.transpose(q)), axis=1)',
        'training objectives',
    ),
    Bug(
        'a name that leads upwards by backslashes is let in',
        'archives',
        "'..' in PurePosixPath(name.replace('\\\\', '/')).parts",
        "'..' in PurePosixPath(name).parts",
        'data security fuzz',
    ),
    Bug(
        'a file with another checksum is taken',
        'archives',
        '    return bool(pooch.file_hash(path, algorithm) == expected)',
        '    return bool(pooch.file_hash(path, algorithm))',
        'data faults',
    ),
    Bug(
        'the last of the first lines is cut in the middle',
        'file_layout',
        '    lines = lines if is_whole else lines[:-1]\n',
        '',
        'text_files formats',
    ),
    Bug(
        'the line named by an error is that after skipped ones',
        'file_layout',
        'enumerate(lines, start=skip + 1)',
        'enumerate(lines, start=1)',
        'text_files',
    ),
    Bug(
        'the last likes of a file of lists are lost',
        'reading',
        '                    lines, users, items = [], [], []\n'
        '        yield _likes(lines, users, items)',
        '                    lines, users, items = [], [], []\n'
        '        if len(items) > CHUNK_ROWS:\n'
        '            yield _likes(lines, users, items)',
        'reading formats',
    ),
    Bug(
        'ratings of a wide table come item by item',
        'reading',
        '        order = np.lexsort((place, row))\n        names',
        '        order = np.lexsort((row, place))\n        names',
        'reading formats',
    ),
    Bug(
        'milliseconds before 1970 are taken for seconds',
        'values',
        'np.median(np.abs(timestamps))',
        'np.median(timestamps)',
        'reading formats extremes',
    ),
    Bug(
        'rows below zero count from the end',
        'validation',
        '    outside = (rows < 0) | (rows >= n_rows)\n',
        '    outside = rows >= n_rows\n',
        'validation extremes',
    ),
    Bug(
        'not-a-number passes for a bounded number',
        'validation',
        '    return lowest > -MAX_MAGNITUDE and highest < MAX_MAGNITUDE',
        '    return not (lowest <= -MAX_MAGNITUDE or highest >= MAX_MAGNITUDE)',
        'validation saved_models',
    ),
    Bug(
        'a table in blocks has a header before each',
        'storage',
        'header=not number,',
        'header=True,',
        'cli export',
    ),
    Bug(
        'the ends of an interval of two models are those of one model',
        'metrics',
        '_middle(resampled[0] - resampled[1], level)',
        '_middle(resampled[0] - resampled[0].mean(), level)',
        'metrics',
    ),
    Bug(
        'a folded-in user gets the targets of a user of the fit',
        'item_weights',
        "        vars(folded)['targets'] = _targets_for(histories, "
        'self.scale, self.kind)\n',
        "        vars(folded)['targets'] = self.targets[: histories.shape[0]]\n",
        'item_weights ease',
    ),
    Bug(
        'the difference of errors is taken from the global mean',
        'workflow',
        "            predicted['damped biases'],\n",
        "            predicted['global mean'],\n",
        'cli recommender',
    ),
    Bug(
        'the name of the split is missing in the summary',
        'workflow',
        '    if report is None:\n'
        '        return summary\n'
        "    summary['split'] = report.split_name\n",
        "    if report is None:\n        return summary\n    summary['split'] = None\n",
        'cli',
    ),
    Bug(
        'axes are ordered by the factors of the items alone',
        'plots',
        'np.linalg.svd(item_factors @ root, full_matrices=False)',
        'np.linalg.svd(item_factors, full_matrices=False)',
        'plots',
    ),
    Bug(
        'labels may cover each other',
        'plots',
        '                boxes.append(box)\n                break',
        '                break',
        'plots',
    ),
    Bug(
        'a rest of one contribution is dropped from the sum',
        'cli',
        "        sums = {f'{len(rest)} more ratings': rest[unit].sum()} | sums\n",
        "        sums = {f'{len(rest)} more ratings': "
        'rest[unit].iloc[1:].sum()} | sums\n',
        'cli command_details',
    ),
    Bug(
        'advice is given where the model is better',
        'cli',
        "best, worst = (low, high) if model.goal == 'rating' else (-high, -low)",
        'best, worst = (low, high)',
        'cli',
    ),
    Bug(
        'a rating with a decimal comma is refused',
        'cli',
        "            rating = float(value.replace(',', '.'))",
        '            rating = float(value)',
        'cli',
    ),
    Bug(
        'of two ratings in Spark the first is kept as the last',
        'spark',
        "F.max_by('rating', 'timestamp')",
        "F.min_by('rating', 'timestamp')",
        'spark',
    ),
    Bug(
        'biases of users in Spark ignore those of items',
        'spark',
        "        residual = residual - F.col('bias')\n",
        "        residual = residual - 0 * F.col('bias')\n",
        'spark',
    ),
    Bug(
        'errors of a network are shown on the inner scale',
        'solvers',
        "    return {k: v * unit if 'rmse' in k else v for k, v in record.items()}",
        '    return {k: v for k, v in record.items()}',
        'training recommender cli',
    ),
    Bug(
        'biases of a network are not brought back to the scale',
        'solvers',
        '        factors.item_bias * np.float32(unit),',
        '        factors.item_bias,',
        'recommender training',
    ),
    Bug(
        'titles of new items are those of the first ones',
        'recommender',
        '            added = np.array([str(called.get(id, id)) for '
        'id in ids], object)\n',
        '            added = self.titles[: len(ids)]\n',
        'features_ials recommender',
    ),
    Bug(
        'a table of items in another order goes to the wrong items',
        'recommender',
        "        inputs['item_features'] = of_items.for_ids(ratings.items).matrix()\n",
        "        inputs['item_features'] = of_items.matrix()\n",
        'features_ials recommender',
    ),
    Bug(
        'a tenth too much is held out of ten ratings',
        'splits',
        'n_train = int(round((1 - test_fraction) * len(ratings), 6))',
        'n_train = int((1 - test_fraction) * len(ratings))',
        'splits',
    ),
    Bug(
        'ALS is validated by pairs without stars, too',
        'als',
        '    valid = None if valid is None else keep_stars(valid)\n',
        '',
        'kinds',
    ),
    Bug(
        'the Bayesian model is validated by pairs without stars, too',
        'bayes',
        '    return keep_stars(valid)',
        '    return valid',
        'kinds',
    ),
    Bug(
        'a network is validated by pairs without stars, too',
        'training',
        '_parts_with_stars([ratings] if isinstance(ratings, Ratings) else ratings)',
        '[ratings] if isinstance(ratings, Ratings) else _parts_with_stars(ratings)',
        'training',
    ),
    Bug(
        'a frame has ratings for pairs without stars',
        'encoding',
        "columns['rating'] = np.where(self.has_stars, self.rating, np.float32('nan'))",
        "columns['rating'] = self.rating",
        'kinds',
    ),
    Bug(
        'an item that is not to be recommended has to be known to the API',
        'api',
        'asked = [_item_row(model, item, body.unknown) for item in body.exclude or []]',
        'asked = [_item_row(model, item) for item in body.exclude or []]',
        'serve',
    ),
    Bug(
        'somebody who rated unknown items costs others their recommendations',
        'api',
        'history, others = _known_ratings(model, person.ratings, body.unknown)',
        'history, others = _read_rated(model, person.ratings, body.unknown)',
        'serve',
    ),
    Bug(
        'True is a half-life of one day',
        'least_squares',
        'is_number = not isinstance(half_life, bool)',
        'is_number = True',
        'decay',
    ),
    Bug(
        'factors that rank are shrunk after the fit',
        'ials',
        '    factors = Factors.for_ranking(ratings, users, items, regularization)',
        '    users *= 0.95\n'
        '    factors = Factors.for_ranking(ratings, users, items, regularization)',
        'ials',
    ),
    Bug(
        'a least number brings items that are no candidates',
        'rules',
        '            rows = np.intersect1d(rows, rules.candidates)\n',
        '            pass\n',
        'rules',
    ),
    Bug(
        'later users get the lists under rules of the first thousand',
        'rules',
        'start + np.repeat(np.arange(len(users)), lengths),',
        'np.repeat(np.arange(len(users)), lengths),',
        'rules',
    ),
    Bug(
        'a column of ratings by its number is one of timestamps, too',
        'file_layout',
        'n_usual not in map(_to_place, named.values()):',
        'n_usual not in named.values():',
        'text_files',
    ),
    Bug(
        'the local time of a zone is taken for UTC',
        'values',
        'moments.dt.tz_convert(None)',
        'moments.dt.tz_localize(None)',
        'reading',
    ),
    Bug(
        'a decimal sign that was told is forgotten beside missing ratings',
        'values',
        'to_ratings(column[given], origin, notation, marks)',
        'to_ratings(column[given], origin, marks=marks)',
        'text_files',
    ),
    Bug(
        'ids are cut at the point if one of them ends in a zero',
        'values',
        "if len(texts) and all(text.endswith('.0') for text in texts):",
        "if len(texts) and any(text.endswith('.0') for text in texts):",
        'reading',
    ),
    Bug(
        'the time of a sum is that of its last row',
        'encoding',
        "groups[columns.timestamp].transform('max')",
        "groups[columns.timestamp].transform('last')",
        'encoding',
    ),
    Bug(
        'counts that are dropped remain in the mean of shards',
        'shards',
        '        levels = levels.take(levels.values > 0)\n',
        '',
        'shards',
    ),
    Bug(
        'of similar titles, the least rated come first',
        'catalog',
        'key=lambda row: -self.item_counts[row])[:n]',
        'key=lambda row: self.item_counts[row])[:n]',
        'titles',
    ),
    Bug(
        'a row is blank if its last column is',
        'features',
        'blank &= feature.is_blank',
        'blank = feature.is_blank',
        'features',
    ),
    Bug(
        'a column with a colon in its name is taken for another one',
        'features',
        'return max(found, key=len)',
        'return found[0]',
        'features',
    ),
    Bug(
        'a map takes as many features of other names',
        'feature_maps',
        "hasattr(features, 'names') and names != self.names",
        "hasattr(features, 'names') and len(names) != len(self.names)",
        'features_ials',
    ),
    Bug(
        'a model with a table of users alone is saved as one of an older version',
        'model_file',
        '_VERSION_OF_FEATURES * (bool(features) or has_maps)',
        '_VERSION_OF_FEATURES * (parts.item_features is not None or has_maps)',
        'saved_models',
    ),
    Bug(
        'last items without ratings have no place in an export',
        'export',
        'np.bincount(parts.seen.indices, minlength=n_items)',
        'np.bincount(parts.seen.indices)',
        'export',
    ),
    Bug(
        'each block of a parquet file has types of its own',
        'storage',
        'pa.Table.from_pandas(block, schema, preserve_index=False)',
        'pa.Table.from_pandas(block, preserve_index=False)',
        'export',
    ),
    Bug(
        'one line fewer is skipped before lists',
        'reading',
        'if number <= self.options.skip or is_comment:',
        'if number < self.options.skip or is_comment:',
        'text_files',
    ),
    Bug(
        'rows of parquet are counted anew in each part',
        'reading',
        '                n_rows += len(frame)\n',
        '',
        'reading',
    ),
    Bug(
        'the farthest folder is the data home',
        'archives',
        'return (existing[0] if existing else here / path).resolve()',
        'return (existing[-1] if existing else here / path).resolve()',
        'data',
    ),
    Bug(
        'what pandas masks becomes None in place of missing',
        'frames',
        'others = () if other is None else (other,)',
        'others = (other,)',
        'data',
    ),
    Bug(
        'a history ends after ten ratings',
        'cli',
        '_print_frame(frame[:k], as_json, ',
        '_print_frame(frame[: k or 10], as_json, ',
        'command_details',
    ),
    Bug(
        'a search sees the ratings that judge its model',
        'cli',
        'searched = random_split(ratings).train if evaluate else ratings',
        'searched = ratings',
        'command_details',
    ),
    Bug(
        'a search ignores its seed',
        'cli',
        "'trials': trials, 'seed': seed or 0}",
        "'trials': trials, 'seed': 0}",
        'command_details',
    ),
    Bug(
        'a discount of popularity puts the mean in the place of an end',
        'recommender',
        "columns['score'] = scores if by == 'mean' else columns[f'mean_{by}']",
        "columns['score'] = scores",
        'posterior',
    ),
    Bug(
        'times of known pairs are those of the first pairs',
        'recommender',
        'timestamp = np.broadcast_to(timestamp, (n,))[known]',
        'timestamp = np.broadcast_to(timestamp, (n,))[: known.sum()]',
        'recommender',
    ),
    Bug(
        'times of held-out ratings are those of the first ones',
        'evaluation',
        'timestamp=None if seconds is None else seconds[known],',
        'timestamp=None if seconds is None else seconds[: known.sum()],',
        'evaluation_users',
    ),
    Bug(
        'intervals are judged without the time of the ratings',
        'evaluation',
        'return errors | coverage(user_ix, item_ix, rating, timestamp=seconds)',
        'return errors | coverage(user_ix, item_ix, rating)',
        'evaluation_users',
    ),
    Bug(
        'constants of an explanation by a blend have no share',
        'new_users',
        'constants = {k: (1 - share) * v for k, v in of_factors.constants.items()}',
        'constants = of_factors.constants',
        'user_features',
    ),
    Bug(
        'a search goes on with other numbers in the table of features',
        'tuning',
        '                digest.update(table.values.data.tobytes())\n',
        '',
        'tuning_features',
    ),
    Bug(
        'the error of a gain in RMSE is that of squares',
        'tuning',
        '            spread /= 2 * row[metric]\n',
        '            pass\n',
        'tuning',
    ),
    Bug(
        'the interval of an error takes ratings of one user as independent',
        'workflow',
        'error_interval(test.rating, predicted, groups=test.user_ix)',
        'error_interval(test.rating, predicted)',
        'cli',
    ),
    Bug(
        'users without ratings make recommendations novel',
        'ranking',
        'n_active = np.count_nonzero(np.bincount(train.user_ix))',
        'n_active = len(train.users)',
        'ranking',
    ),
    Bug(
        'similarities are kept where the weight of all pairs has changed',
        'similarity',
        'key = id(vectors), alpha, damping',
        'key = id(vectors), damping, damping',
        'ials',
    ),
    Bug(
        'the regularization of EASE ignores the kind of targets',
        'ease',
        "reg = ease_settings(ratings, {'reg': reg, 'kind': kind})['reg']",
        "reg = ease_settings(ratings, {'reg': reg})['reg']",
        'ease',
    ),
    Bug(
        'neighbours in a blend ignore its kind of targets',
        'blend',
        "item_weights = fit_item_knn(ratings, chosen['n_neighbors'], kind)",
        "item_weights = fit_item_knn(ratings, chosen['n_neighbors'])",
        'blend',
    ),
    Bug(
        'an updated blend forgets its weight',
        'updating',
        "settings, 'item_reg'\n    )\n    return Blend(factors, weights, blend.weight)",
        "settings, 'item_reg'\n    )\n    return Blend(factors, weights, 0.25)",
        'updating',
    ),
    Bug(
        'a fit goes on with another weight of its features',
        'ials',
        "digest = hashlib.sha256(f'{prior.feature_reg} {prior.names}'.encode())",
        "digest = hashlib.sha256(f'{prior.names}'.encode())",
        'features_ials',
    ),
    Bug(
        'ratings too large to fold in are not refused',
        'factors',
        '        if not is_numeric_and_bounded(user_factors):\n'
        "            raise ValueError('the ratings are too large to fold them in')\n",
        '',
        'factors',
    ),
    Bug(
        'a checkpoint of training lacks the best of its last epoch',
        'training',
        '        if self.patience and run.n_without_progress() == 0:\n'
        '            run.best = [w.numpy() for w in run.net.weights]\n'
        '        if run.checkpoint:\n            run.write_checkpoint()\n',
        '        if run.checkpoint:\n            run.write_checkpoint()\n'
        '        if self.patience and run.n_without_progress() == 0:\n'
        '            run.best = [w.numpy() for w in run.net.weights]\n',
        'training',
    ),
    Bug(
        'users and items of a network start alike',
        'model',
        "_embedding(n_items, n_factors, 'item_embedding', seed + 1)",
        "_embedding(n_items, n_factors, 'item_embedding', seed)",
        'training',
    ),
    Bug(
        'a client that goes away keeps its place',
        'gate',
        '        if body is None:\n            self._leave()\n            return\n',
        '        if body is None:\n            return\n',
        'gate',
    ),
    Bug(
        'a late answer follows the one that says so',
        'gate',
        '        answer.is_closed = True\n',
        '',
        'gate',
    ),
    Bug(
        'a request with two headers Host passes',
        'gate',
        'if len(hosts) != 1:',
        'if not hosts:',
        'gate',
    ),
    Bug(
        'seconds of other processes take the place of the own',
        'gate',
        'total.seconds[path] = total.seconds.get(path, 0.0) + seconds',
        'total.seconds[path] = seconds',
        'gate',
    ),
    Bug(
        'a map keeps the groups of another column',
        'served',
        "key = n, '' if feature is None else feature.name",
        "key = n, ''",
        'served',
    ),
    Bug(
        'items are sorted after the first are taken',
        'served',
        '            rows = rows[self._order(sort, rows)]\n',
        '            rows = rows[:k]\n'
        '            rows = rows[self._order(sort, rows)]\n',
        'served',
    ),
    Bug(
        'a model file that is replaced while it is read stays unread',
        'serve',
        '        self._last = _signature(self.path)\n'
        '        version = file_version(self.path)\n'
        '        if self.shared is None:\n'
        '            model = Recommender.load(self.path)\n'
        '        else:\n'
        '            model = _open_shared(self.path, self.shared / version)\n',
        '        version = file_version(self.path)\n'
        '        if self.shared is None:\n'
        '            model = Recommender.load(self.path)\n'
        '        else:\n'
        '            model = _open_shared(self.path, self.shared / version)\n'
        '        self._last = _signature(self.path)\n',
        'serve',
    ),
    Bug(
        'the folder of another running server is removed',
        'serve',
        'is_old = left.name.isdecimal() and not _is_running(int(left.name))',
        'is_old = left.name.isdecimal()',
        'serve',
    ),
    Bug(
        'the lock stays where a model cannot be unpacked',
        'serve',
        '        try:\n            if not folder.is_dir():\n'
        '                unpack_arrays(path, folder)\n        finally:\n'
        '            lock.unlink(missing_ok=True)\n',
        '        if not folder.is_dir():\n            unpack_arrays(path, folder)\n'
        '        lock.unlink(missing_ok=True)\n',
        'serve',
    ),
    Bug(
        'a prediction by GET ignores the level of its interval',
        'api',
        'body = PairsBody(pairs=pairs, level=level, timestamp=timestamp)',
        'body = PairsBody(pairs=pairs, timestamp=timestamp)',
        'serve',
    ),
    Bug(
        'a history counts only the ratings that are shown',
        'api',
        'n_ratings=len(frame), history=rows',
        'n_ratings=len(rows), history=rows',
        'serve',
    ),
    Bug(
        'an explanation to a new user ignores how many parts are asked for',
        'api',
        '**_explanation(frame, body.k)',
        '**_explanation(frame, 20)',
        'serve',
    ),
    Bug(
        'a new user is compared as the first user of the model',
        'similarity',
        'own = _user_vectors(asked or predictor)[[user_ix]]',
        'own = _user_vectors(predictor)[[user_ix]]',
        'rules',
    ),
    Bug(
        'a search that goes on blends fits of its first settings',
        'tuning',
        '            settings = self.best_of[name].settings\n'
        '            self.fitted[name]',
        '            settings = self.trials[0].settings\n            self.fitted[name]',
        'tuning',
    ),
    Bug(
        'ALS reads its checkpoint and begins anew',
        'als',
        '        log.use_checkpoint(checkpoint, key, n_iterations)\n',
        '        log.use_checkpoint(checkpoint, key, n_iterations)\n'
        '        log.records.clear()\n'
        '        first = _first_tables(ratings, n_factors, seed, start)\n'
        '        tables[0][:], tables[1][:] = first\n',
        'ials als',
    ),
    Bug(
        'the ranking solver reads its checkpoint and begins anew',
        'ials',
        '        log.use_checkpoint(checkpoint, key, n_iterations)\n',
        '        log.use_checkpoint(checkpoint, key, n_iterations)\n'
        '        log.records.clear()\n'
        '        items[:] = _random_items(ratings, n_factors, seed)\n',
        'ials',
    ),
    Bug(
        'the network reads its checkpoint and begins anew',
        'training',
        '        for j, variable in enumerate(self._variables()):\n'
        "            variable.assign(arrays[f'v{j}'])\n",
        '        self.records = []\n        return\n',
        'shards training',
    ),
    Bug(
        'the sampler reads its checkpoint and begins anew',
        'bayes',
        '        run.load(checkpoint, fit_key)\n',
        '        run.load(checkpoint, fit_key)\n'
        '        sampler = GibbsSampler(ratings, tables, **model)\n'
        '        run = _SamplingRun(sampler, **chain, valid=valid)\n',
        'bayes',
    ),
    Bug(
        'the items for a new user are in reverse order',
        'recommender',
        "    found.attrs['unknown_users'] = [*histories.unknown_users]\n",
        "    found['item'] = found.item.to_numpy()[::-1]\n"
        "    found.attrs['unknown_users'] = [*histories.unknown_users]\n",
        'updating',
    ),
    Bug(
        'the lists of later blocks of users go to the first ones',
        'ranking',
        'yield RankedBlock(start + row, rank',
        'yield RankedBlock(row, rank',
        'recommender',
    ),
    Bug(
        'the mean of a group is that of its lowest and highest score',
        'rules',
        "    'mean': np.mean,\n",
        "    'mean': lambda t, axis: (np.min(t, axis) + np.max(t, axis)) / 2,\n",
        'rules',
    ),
    Bug(
        'users are compared by products of factors instead of cosines',
        'similarity',
        '        similarity, numbers = _cosines(vectors, own[0]), own\n',
        '        similarity, numbers = vectors @ own[0], own\n',
        'rules',
    ),
    Bug(
        'the files of shards come in the same order in each epoch',
        'shards',
        'parts = map(self.read, rng.permutation(len(self.sizes)))',
        'parts = map(self.read, range(len(self.sizes)))',
        'shards',
    ),
    Bug(
        'the biases of a batch are not regularized',
        'model',
        'biases = bias_reg * _sum_of_squares(user_bias, item_bias)',
        'biases = 0 * _sum_of_squares(user_bias, item_bias)',
        'training',
    ),
]


def apply(bug: Bug, package: Path) -> None:
    """Put a bug into a copy of the package."""
    path = package / f'{bug.module}.py'
    source = path.read_text(encoding='utf-8')
    if not bug.before or source.count(bug.before) != 1:
        n = source.count(bug.before)
        sys.exit(f'{bug.name}: its text occurs {n} times in {bug.module}')
    path.write_text(source.replace(bug.before, bug.after), encoding='utf-8')
    chapter = chapter_of(source, package)
    notebook = nbformat.read(chapter, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(bug.before, bug.after)
    nbformat.write(notebook, chapter)


def chapter_of(source: str, package: Path) -> Path:
    """Find the notebook that a module is made from."""
    found = re.search(r'File to edit: \.\./nbs/(\S+\.ipynb)', source)
    assert found
    return package.parent / 'nbs' / found[1]


def files_of_repository() -> Iterator[Path]:
    """Yield what git knows, and what is new and not ignored."""
    command = ['git', 'ls-files', '-co', '--exclude-standard']
    names = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in names.stdout.splitlines():
        if (ROOT / name).is_file():
            yield Path(name)


def first_failure(bug: Bug, folder: Path) -> str:
    """Run the tests of a copy; the name of the first that fails, or nothing."""
    files = [f'tests/test_{name}.py' for name in bug.tests.split()]
    command = [sys.executable, '-m', 'pytest', '-x', '-q', '-p', 'no:cacheprovider']
    environment = os.environ | {'PYTHONPATH': str(folder)}
    try:
        run = subprocess.run(
            [*command, '-rf', '--no-header', '--tb=no', *files],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return 'a test that does not end'
    found = re.search(r'^(?:FAILED|ERROR) (\S+)', run.stdout, re.M)
    if found:
        return found[1].partition('[')[0]
    if run.returncode:
        sys.exit(f'{bug.name}: the tests do not run\n{run.stdout}{run.stderr}')
    return failing_chapter(bug, folder, environment)


def failing_chapter(bug: Bug, folder: Path, environment: dict[str, str]) -> str:
    """Run the chapter of the module of a bug; its name if it fails."""
    package = folder / 'mf_movielens'
    source = (package / f'{bug.module}.py').read_text(encoding='utf-8')
    chapter = chapter_of(source, package)
    command = ['nbdev_test', '--path', str(chapter)]
    run = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, timeout=TIMEOUT
    )
    return f'nbs/{chapter.name}' if run.returncode else ''


def try_bug(bug: Bug, on: str) -> dict[str, Any]:
    """Put in a bug, and find the test that notices; a row with the commit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in files_of_repository():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, folder / file)
        apply(bug, folder / 'mf_movielens')
        found = first_failure(bug, folder)
    print(f'{bug.name}: {found or "NOT FOUND"}', flush=True)
    return dict(zip(COLUMNS, [bug.name, bug.module, found, on]))


def write_row(row: dict[str, Any]) -> pd.DataFrame:
    """Put a row into the table, in place of an older one, and return the table."""
    rows = pd.DataFrame([row], columns=COLUMNS)
    order = [bug.name for bug in BUGS]
    if TABLE.exists():
        others = pd.read_csv(TABLE, keep_default_na=False)
        others = others[others.bug.isin(order) & (others.bug != row['bug'])]
        rows = pd.concat([others, rows])
    rows = rows.sort_values('bug', key=lambda bug: bug.map(order.index))
    rows.to_csv(TABLE, index=False, lineterminator='\n')
    return rows


def main() -> None:
    """Search for all bugs, or for those whose names or modules are given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('names', nargs='*', help='parts of names, or modules')
    parser.add_argument(
        '--jobs',
        type=int,
        default=os.cpu_count(),
        help='how many at a time; all cores by default',
    )
    options = parser.parse_args()
    names = options.names
    chosen = [
        bug
        for bug in BUGS
        if not names or any(n in bug.name or n == bug.module for n in names)
    ]
    with ThreadPoolExecutor(options.jobs) as pool:
        for row in pool.map(partial(try_bug, on=commit()), chosen):
            rows = write_row(row)
    missed = rows[rows.found_by == ''].bug
    if len(missed):
        sys.exit(f'no test found: {", ".join(missed)}')


if __name__ == '__main__':
    main()
