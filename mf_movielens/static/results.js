// The recommendations of one model.

import { drawList, make } from './widgets/elements.js';
import { detailOf, titleOf, writer } from './words.js';
import { keyOf } from './state.js';

const ordinal = (n) => {
  const ending = { 1: 'st', 2: 'nd', 3: 'rd' }[n % 10];
  return `${n}${ending && Math.floor(n / 10) % 10 !== 1 ? ending : 'th'}`;
};

const percent = (share) => `${Math.max(0, Math.min(1, share)) * 100}%`;

// A bar on the scale of the model, with the interval of the expected rating if there is
// one; of a model that ranks, the score beside the best one
class ScoreBar {
  constructor() {
    this.fill = make('i', { className: 'fill' });
    this.range = make('i', { className: 'interval', hidden: true });
    const bar = make(
      'span',
      { className: 'bar', 'aria-hidden': 'true' },
      this.fill,
      this.range,
    );
    this.number = make('span', { className: 'number' });
    this.element = make('span', { className: 'score' }, bar, this.number);
  }

  set(row, model, best, write) {
    const [low, high] = model.scale;
    const isRating = model.goal === 'rating';
    const share = (value) => (isRating ? (value - low) / (high - low) : value / best);
    this.fill.style.width = percent(row.score > 0 || isRating ? share(row.score) : 0);
    this.number.textContent = write(row.score);
    const hasRange = row.mean_low != null && row.mean_high != null;
    this.range.hidden = !hasRange;
    this.fill.classList.toggle('mean', hasRange);
    this.element.title = isRating
      ? 'expected rating'
      : 'score; only the order has a meaning';
    if (!hasRange) return;
    this.range.style.left = percent(share(row.mean_low));
    this.range.style.right = percent(1 - share(row.mean_high));
    const range = `${write(row.mean_low)} to ${write(row.mean_high)}`;
    this.element.title = `expected rating; with probability 0.9 from ${range}`;
    this.number.append(make('small', { textContent: ` ${range}` }));
  }
}

export class Results {
  constructor({ model, isCompared, onOpen, onRetry }) {
    Object.assign(this, { model, isCompared, onOpen, onRetry });
    this.rows = [];
    this.list = make('ol', { className: 'recommended' });
    this.message = make('div', { className: 'message', hidden: true });
    this.note = make('p', { className: 'note', hidden: true });
    const heading = isCompared ? make('h3', { textContent: model.name }) : null;
    this.element = make(
      'section',
      {
        className: 'results',
        'aria-label': isCompared ? `Recommended by ${model.name}` : 'Recommended',
      },
      heading,
      this.note,
      this.message,
      this.list,
    );
  }

  setBusy(isBusy) {
    this.element.setAttribute('aria-busy', String(isBusy));
  }

  showError(error) {
    const retry = make('button', { type: 'button', textContent: 'Try again' });
    retry.addEventListener('click', () => this.onRetry());
    this.say(
      make('p', { textContent: error.message }),
      error.status === 422 ? null : retry,
    );
    this.message.classList.add('error');
  }

  say(...children) {
    this.rows = [];
    this.draw(new Map());
    this.message.classList.remove('error');
    this.message.replaceChildren(...children.filter(Boolean));
    this.message.hidden = false;
  }

  setNote(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  // Neither rows nor a message, as long as nothing was asked
  clear() {
    this.rows = [];
    this.message.hidden = true;
    this.setNote('');
  }

  show(rows) {
    this.rows = rows;
    this.message.hidden = true;
    if (!rows.length)
      this.say(
        make('p', { textContent: 'Nothing is left to recommend. Loosen the filters.' }),
      );
  }

  get keys() {
    return new Set(this.rows.map((row) => keyOf(row.item)));
  }

  // others: the ranks of the same items in the other list, by key
  draw(others) {
    const scores = this.rows.map((row) => row.score);
    const best = Math.max(...scores, 1e-12);
    const write = writer(scores);
    drawList(this.list, this.rows, {
      key: (row) => keyOf(row.item),
      create: (row) => this.createRow(row),
      update: (shown, row, place) => {
        shown.rank.textContent = place + 1;
        shown.detail.textContent = detailOf(row, this.model.item_columns);
        shown.bar.set(row, this.model, best, write);
        const isNew = row.is_new ? ['new'] : [];
        if (this.isCompared)
          isNew.push(this.difference(others.get(keyOf(row.item)), place + 1));
        const words = isNew.filter(Boolean);
        shown.badges.replaceChildren(
          ...words.map((word) =>
            make('span', { className: 'badge', textContent: word }),
          ),
        );
        shown.element.classList.toggle(
          'only',
          this.isCompared && !others.has(keyOf(row.item)),
        );
      },
      moves: true,
    });
  }

  difference(rank, own) {
    if (!rank) return 'only here';
    return rank === own ? '' : `${ordinal(rank)} there`;
  }

  createRow(row) {
    const rank = make('span', { className: 'rank', 'aria-hidden': 'true' });
    const title = make('button', {
      type: 'button',
      className: 'link title',
      textContent: titleOf(row),
    });
    title.addEventListener('click', () => this.onOpen(row.item, this.model));
    const detail = make('small', { className: 'detail' });
    const badges = make('span', { className: 'badges' });
    const bar = new ScoreBar();
    const words = make(
      'div',
      { className: 'words' },
      title,
      make('div', { className: 'below' }, detail, badges),
    );
    return {
      element: make('li', {}, rank, words, bar.element),
      rank,
      detail,
      badges,
      bar,
    };
  }
}
