// The tab with a Bayesian model: expected ratings, with bars for what is uncertain. Its
// data are loaded when it is opened.

import { drawList, field, make } from '../widgets/elements.js';
import { BayesModel } from './bayes.js';

const N_SHOWN = 12;
const ORDERS = {
  mean: 'expected rating',
  low: 'lower end of the inner bar (safe)',
  high: 'upper end of the inner bar (daring)',
};
const order = {
  mean: ({ mean }) => mean,
  low: ({ expected }) => expected[0],
  high: ({ expected }) => expected[1],
};

const words = (value) => value.toFixed(1);
const between = ([low, high]) => `${words(low)} to ${words(high)}`;

export class Uncertainty {
  constructor({ titles, ids, source }) {
    Object.assign(this, { titles, ids, source });
    this.note = make('p', { className: 'hint' });
    this.retry = make('button', { type: 'button', textContent: 'Try again' });
    this.retry.addEventListener('click', () => this.draw(this.ratings));
    this.select = make(
      'select',
      {},
      ...Object.entries(ORDERS).map(([value, textContent]) =>
        make('option', { value, textContent }),
      ),
    );
    this.select.addEventListener('change', () => this.draw(this.ratings));
    const ticks = [1, 2, 3, 4, 5].map((star) => {
      const tick = make('span', { textContent: star });
      tick.style.left = `${25 * (star - 1)}%`;
      return tick;
    });
    this.axis = make('div', { className: 'axis', 'aria-hidden': 'true' }, ...ticks);
    this.list = make('ol', { id: 'uncertain', role: 'list' });
    const sign = (className) => make('i', { className, 'aria-hidden': 'true' });
    const key = make(
      'ul',
      { className: 'key' },
      make('li', {}, sign('tick'), 'tick: the rating to expect'),
      make(
        'li',
        {},
        sign('expected'),
        'inner bar: where that lies, with probability 0.9',
      ),
      make(
        'li',
        {},
        sign('rating'),
        'outer bar: where the stars that you would give lie, with probability 0.9',
      ),
    );
    this.content = make(
      'div',
      { hidden: true },
      key,
      field('Order by', this.select),
      this.axis,
      this.list,
    );
    this.panel = make('div', {}, this.note, this.retry, this.content);
    this.retry.hidden = true;
  }

  async load() {
    const response = await fetch(this.source);
    if (!response.ok) throw new Error(response.statusText);
    const data = await response.json();
    // rows are those of the page; an older file would name other films
    if (data.ids.some((id, item) => id !== this.ids[item])) throw new Error('ids');
    return new BayesModel(data);
  }

  async draw(ratings) {
    this.ratings = ratings;
    if (!this.model) {
      this.say('Loading …');
      try {
        this.loading ??= this.load();
        this.model = await this.loading;
      } catch {
        this.loading = null;
        this.say('The samples could not be loaded.');
        this.retry.hidden = false;
        return;
      }
    }
    this.show(this.ratings);
  }

  say(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
    this.retry.hidden = true;
  }

  show(ratings) {
    this.content.hidden = false;
    this.say(
      ratings.size
        ? ''
        : 'Nothing is known of you yet, so these are the bars for anybody. Rate films, and see the inner bars shrink.',
    );
    const items = [...this.titles.keys()].filter((item) => !ratings.has(item));
    const by = order[this.select.value];
    const found = this.model
      .predict(ratings, items)
      .sort((a, b) => by(b) - by(a))
      .slice(0, N_SHOWN);
    drawList(this.list, found, {
      key: ({ item }) => item,
      create: ({ item }) => this.createRow(item),
      update: (row, prediction) => this.update(row, prediction),
      moves: true,
    });
  }

  update(row, { mean, expected, rating }) {
    const place = (value) => `${25 * (value - 1)}%`;
    for (const [bar, [low, high]] of [
      [row.expected, expected],
      [row.rating, rating],
    ]) {
      bar.style.left = place(low);
      bar.style.right = `calc(100% - ${place(high)})`;
    }
    row.tick.style.left = place(mean);
    row.number.textContent = words(mean);
    row.words.textContent = `expected ${between(expected)}, a rating ${between(rating)}`;
  }

  createRow(item) {
    const [rating, expected, tick] = ['rating', 'expected', 'tick'].map((className) =>
      make('i', { className }),
    );
    const number = make('strong', { className: 'number' });
    const line = make('small');
    const element = make(
      'li',
      {},
      make(
        'div',
        { className: 'head' },
        make('span', { textContent: this.titles[item] }),
        number,
      ),
      make(
        'div',
        { className: 'range', 'aria-hidden': 'true' },
        rating,
        expected,
        tick,
      ),
      line,
    );
    return { element, rating, expected, tick, number, words: line };
  }
}
