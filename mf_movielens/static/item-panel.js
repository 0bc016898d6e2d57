// One item: its rating, why it is recommended, and what is similar.

import { make } from './widgets/elements.js';
import { ratingInput, ratingText } from './widgets/rating-input.js';
import { count, detailOf, ratingWords, scoreText, titleOf } from './words.js';
import { keyOf } from './state.js';

const MAX_REASONS = 8;
const N_SIMILAR = 10;

export class ItemPanel {
  // ask: {item, explain, probabilities, similar}, functions of a model and an id;
  // rating: {canRate, get, set, remove}, of an id
  constructor({ ask, rating }) {
    Object.assign(this, { ask, rating });
    this.past = [];
    this.body = make('div', { className: 'panel-body' });
    this.back = make('button', {
      type: 'button',
      className: 'icon',
      textContent: '←',
      ariaLabel: 'back',
    });
    this.back.addEventListener('click', () => this.goBack());
    const close = make('button', {
      type: 'button',
      className: 'icon',
      textContent: '×',
      ariaLabel: 'close',
    });
    close.addEventListener('click', () => this.element.close());
    this.heading = make('h2', { id: 'panel-title', tabIndex: -1 });
    const head = make(
      'div',
      { className: 'panel-head' },
      this.back,
      this.heading,
      close,
    );
    this.element = make(
      'dialog',
      { className: 'panel', 'aria-labelledby': 'panel-title' },
      head,
      this.body,
    );
    this.element.addEventListener('close', () => {
      this.past = [];
      this.here = null;
    });
    // a click on what is behind the panel closes it
    this.element.addEventListener('click', (event) => {
      if (event.target === this.element) this.element.close();
    });
  }

  open(id, model) {
    if (this.here) this.past.push(this.here);
    this.show(id, model);
  }

  goBack() {
    const { id, model } = this.past.pop();
    this.show(id, model);
  }

  async show(id, model) {
    this.here = { id, model };
    this.back.hidden = !this.past.length;
    const isHere = () => this.here?.id === id && this.here?.model === model;
    const detail = make('p', { className: 'detail' });
    const sections = [
      detail,
      this.ratingSection(id, model),
      model.gives_intervals
        ? this.section('How it may be rated', this.probabilities(id, model))
        : null,
      this.section('Why this one', this.reasons(id, model)),
      this.section('Similar', this.similar(id, model)),
    ].filter(Boolean);
    this.heading.textContent = '…';
    this.body.replaceChildren(...sections);
    this.body.scrollTop = 0;
    if (!this.element.open) this.element.showModal();
    this.heading.focus();
    try {
      const item = await this.ask.item(model, id);
      if (!isHere()) return;
      this.heading.textContent = titleOf(item);
      const rated = item.n_ratings == null ? '' : count(item.n_ratings, 'rating');
      detail.textContent = [detailOf(item, model.item_columns), rated]
        .filter(Boolean)
        .join(' · ');
    } catch (error) {
      if (!isHere()) return;
      this.heading.textContent = String(id);
      detail.textContent = error.message;
    }
  }

  // A section that is filled when its answer is there; its room is kept meanwhile
  section(heading, promise) {
    const content = make('div', { className: 'loading', 'aria-busy': 'true' });
    const section = make('section', {}, make('h3', { textContent: heading }), content);
    promise
      .then((nodes) => {
        if (nodes) content.replaceChildren(...[nodes].flat());
        else section.remove();
      })
      .catch((error) =>
        content.replaceChildren(
          make('p', { className: 'note', textContent: error.message }),
        ),
      )
      .finally(() => {
        content.classList.remove('loading');
        content.removeAttribute('aria-busy');
      });
    return section;
  }

  ratingSection(id, model) {
    if (!this.rating.canRate()) return null;
    const rated = this.rating.get(id);
    const { scale } = this.rating;
    const place = make('div', { className: 'own-rating' });
    const redraw = () => {
      const section = this.ratingSection(id, model);
      place.replaceWith(section);
      return section;
    };
    if (scale.kind === 'likes') {
      const button = make('button', {
        type: 'button',
        textContent: rated == null ? 'Add to what I like' : 'Remove from what I like',
      });
      button.addEventListener('click', () => {
        if (rated == null) this.rating.set(id, scale.high);
        else this.rating.remove(id);
        redraw().querySelector('button').focus();
      });
      place.append(button);
      return place;
    }
    const input = ratingInput({
      scale,
      value: rated ?? null,
      label: 'Your rating',
      onChange: (value) => {
        this.rating.set(id, value);
        if (!place.querySelector('button')) place.append(removeButton());
      },
    });
    const removeButton = () => {
      const remove = make('button', { type: 'button', textContent: 'Remove' });
      remove.addEventListener('click', () => {
        this.rating.remove(id);
        redraw().querySelector('[tabindex], input').focus();
      });
      return remove;
    };
    place.append(make('span', { textContent: 'Your rating' }), input.element);
    if (rated != null) place.append(removeButton());
    return place;
  }

  async probabilities(id, model) {
    const answer = await this.ask.probabilities(model, id);
    if (!answer) return null;
    const entries = Object.entries(answer).map(([value, p]) => [Number(value), p]);
    entries.sort((a, b) => a[0] - b[0]);
    const rows = entries.map(([value, p]) => {
      const fill = make('i');
      fill.style.width = `${(p ?? 0) * 100}%`;
      return make(
        'tr',
        {},
        make('th', { scope: 'row', textContent: ratingText(value) }),
        make('td', {}, make('span', { className: 'bar', 'aria-hidden': 'true' }, fill)),
        make('td', {
          className: 'number',
          textContent: `${Math.round((p ?? 0) * 100)} %`,
        }),
      );
    });
    const mean = entries.reduce((sum, [value, p]) => sum + value * (p ?? 0), 0);
    return [
      make('p', {
        className: 'note',
        textContent: `Expected rating: ${scoreText(mean)}`,
      }),
      make(
        'table',
        { className: 'probabilities', ariaLabel: 'Probability of each rating' },
        make('tbody', {}, ...rows),
      ),
    ];
  }

  async reasons(id, model) {
    const rows = await this.ask.explain(model, id);
    if (!rows) return null;
    const size = (row) => row.stars ?? row.score ?? 0;
    const isRated = (row) => row.item != null;
    const first = rows.filter((row) => !isRated(row));
    const rated = rows.filter(isRated);
    const shown = [...first.slice(0, MAX_REASONS), ...rated.slice(0, MAX_REASONS)];
    const rest = [...first.slice(MAX_REASONS), ...rated.slice(MAX_REASONS)];
    const most = Math.max(
      ...shown.map((row) => (isRated(row) || row.feature ? Math.abs(size(row)) : 0)),
      1e-9,
    );
    const entries = shown.map((row) => this.reason(row, model, size(row), most));
    const sum = rows.reduce((total, row) => total + size(row), 0);
    if (rest.length) {
      const others = rest.reduce((total, row) => total + size(row), 0);
      entries.push(this.line(`${rest.length} more`, others, 0));
    }
    const isRating = model.goal === 'rating';
    entries.push(
      make(
        'tr',
        { className: 'sum' },
        make('th', {
          scope: 'row',
          textContent: isRating ? 'Expected rating' : 'Score',
        }),
        make('td'),
        make('td', { className: 'number', textContent: scoreText(sum) }),
      ),
    );
    return make(
      'table',
      { className: 'reasons', ariaLabel: 'What each rating contributes' },
      make('tbody', {}, ...entries),
    );
  }

  reason(row, model, value, most) {
    if (row.item == null) {
      return this.line(
        row.feature ?? row.part,
        value,
        row.feature ? Math.abs(value) / most : 0,
      );
    }
    const words = ratingWords(this.rating.scaleOf(model), row.rating);
    return this.line(titleOf(row), value, Math.abs(value) / most, words);
  }

  line(text, value, share, words = '') {
    const fill = make('i', { className: value < 0 ? 'less' : 'more' });
    fill.style.width = `${share * 50}%`;
    const name = make(
      'th',
      { scope: 'row' },
      text,
      words ? make('small', { textContent: ` ${words}` }) : null,
    );
    const bar = make(
      'span',
      { className: 'bar two-sided', 'aria-hidden': 'true' },
      fill,
    );
    const sign = value < 0 ? '−' : '+';
    return make(
      'tr',
      {},
      name,
      make('td', {}, share ? bar : null),
      make('td', {
        className: 'number',
        textContent: `${sign}${scoreText(Math.abs(value))}`,
      }),
    );
  }

  async similar(id, model) {
    const rows = await this.ask.similar(model, id, N_SIMILAR);
    if (!rows.length)
      return make('p', {
        className: 'note',
        textContent: 'Nothing similar has enough ratings.',
      });
    const entries = rows.map((row) => {
      const button = make('button', {
        type: 'button',
        className: 'link',
        textContent: titleOf(row),
      });
      button.addEventListener('click', () => this.open(row.item, model));
      return make(
        'li',
        {},
        button,
        make('small', {
          textContent: scoreText(row.similarity),
          title: 'similarity, from −1 to 1',
        }),
      );
    });
    return make('ol', { className: 'similar' }, ...entries);
  }

  isShowing(id) {
    return this.here != null && keyOf(this.here.id) === keyOf(id);
  }
}
