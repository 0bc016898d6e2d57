// One item: its rating, why it is recommended, and what is similar.

import { scaleOf } from './questions.js';
import { count, detailOf, ratingWords, titleOf, writer } from './words.js';
import { make } from './widgets/elements.js';
import { ratingInput, ratingText } from './widgets/rating-input.js';
import { reasonTable } from './widgets/reason-table.js';

const MAX_REASONS = 8;
const N_SIMILAR = 10;

const button = (textContent, onClick, properties = {}) => {
  const element = make('button', { type: 'button', textContent, ...properties });
  element.addEventListener('click', onClick);
  return element;
};

export class ItemPanel {
  constructor({ questions, person, scale }) {
    Object.assign(this, { questions, person, scale });
    this.past = []; // what was shown before, to go back to
    this.here = null;
    const icon = { className: 'icon' };
    this.back = button('←', () => this.goBack(), { ...icon, ariaLabel: 'back' });
    const close = button('×', () => this.element.close(), {
      ...icon,
      ariaLabel: 'close',
    });
    this.heading = make('h2', { id: 'panel-title', tabIndex: -1 });
    this.body = make('div', { className: 'panel-body', tabIndex: 0 });
    this.element = make(
      'dialog',
      { className: 'panel', 'aria-labelledby': 'panel-title' },
      make('div', { className: 'panel-head' }, this.back, this.heading, close),
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
    this.show({ id, model });
  }

  goBack() {
    this.show(this.past.pop());
  }

  show(here) {
    const { id, model } = here;
    const { questions } = this;
    this.here = here;
    this.back.hidden = !this.past.length;
    this.heading.textContent = '…';
    this.detail = make('p', { className: 'detail' });
    const sections = [this.detail, this.ratingSection(id)];
    const add = (heading, content) => sections.push(this.section(heading, content));
    if (questions.hasPerson) {
      if (model.gives_intervals) add('How it may be rated', this.probabilities(here));
      add('Why this one', this.reasons(here));
    }
    add('Similar', this.similar(here));
    this.body.replaceChildren(...sections.filter(Boolean));
    this.body.scrollTop = 0;
    if (!this.element.open) this.element.showModal();
    this.heading.focus();
    this.fillHead(here);
  }

  async fillHead(here) {
    const { id, model } = here;
    let title = String(id);
    let detail;
    try {
      const item = await this.questions.item(model, id);
      title = titleOf(item);
      const nRatings = item.n_ratings == null ? '' : count(item.n_ratings, 'rating');
      const words = [detailOf(item, model.item_columns), nRatings];
      detail = words.filter(Boolean).join(' · ');
    } catch (error) {
      detail = error.status ? error.message : 'The server does not answer.';
    }
    if (this.here !== here) return;
    this.heading.textContent = title;
    this.detail.textContent = detail;
  }

  // A section that is filled when its content is there; its room is kept meanwhile
  section(heading, promise) {
    const content = make('div', { className: 'loading', 'aria-busy': 'true' });
    const fill = (...nodes) => {
      content.className = '';
      content.removeAttribute('aria-busy');
      content.replaceChildren(...nodes);
    };
    promise.then(
      (nodes) => fill(...nodes),
      (error) => {
        const text = error.status ? error.message : 'The server does not answer.';
        fill(make('p', { className: 'note', textContent: text }));
      },
    );
    return make('section', {}, make('h3', { textContent: heading }), content);
  }

  // the rating

  ratingSection(id) {
    if (this.person.isKnown) return null;
    const place = make('div', { className: 'own-rating' });
    if (this.scale.kind === 'likes') this.drawLike(place, id);
    else this.drawRating(place, id);
    return place;
  }

  drawLike(place, id) {
    const { newPerson } = this.person;
    const isLiked = Boolean(newPerson.pairOf(id));
    const words = isLiked ? 'Remove from what I like' : 'Add to what I like';
    const change = button(words, () => {
      if (isLiked) newPerson.remove(id);
      else newPerson.rate(id, this.scale.high ?? 1);
      this.drawLike(place, id);
      place.querySelector('button').focus();
    });
    place.replaceChildren(change);
  }

  drawRating(place, id) {
    const { newPerson } = this.person;
    const input = ratingInput({
      scale: this.scale,
      value: newPerson.pairOf(id)?.[1] ?? null,
      label: 'Your rating',
      onChange: (value) => {
        newPerson.rate(id, value);
        remove.hidden = false;
      },
    });
    const remove = button('Remove', () => {
      newPerson.remove(id);
      input.set(null);
      remove.hidden = true;
      input.element.focus();
    });
    remove.hidden = !newPerson.pairOf(id);
    const words = make('span', { textContent: 'Your rating', 'aria-hidden': 'true' });
    place.replaceChildren(words, input.element, remove);
  }

  // what the model says

  async probabilities({ id, model }) {
    const entries = await this.questions.probabilities(model, id);
    const rows = entries.map(([value, p]) => {
      const fill = make('i');
      fill.style.width = `${p * 100}%`;
      const bar = make('span', { className: 'bar', 'aria-hidden': 'true' }, fill);
      return make(
        'tr',
        {},
        make('th', { scope: 'row', textContent: ratingText(value) }),
        make('td', {}, bar),
        make('td', { className: 'number', textContent: `${Math.round(p * 100)} %` }),
      );
    });
    const mean = entries.reduce((sum, [value, p]) => sum + value * p, 0);
    const table = make(
      'table',
      { className: 'probabilities', 'aria-label': 'Probability of each rating' },
      make('tbody', {}, ...rows),
    );
    const words = `Expected rating: ${mean.toFixed(2)}`;
    return [make('p', { className: 'note', textContent: words }), table];
  }

  async reasons({ id, model }) {
    const answer = await this.questions.explain(model, id, MAX_REASONS);
    const size = (row) => row.stars ?? row.score ?? 0;
    const scale = scaleOf(model);
    const parts = answer.parts.map((row) => {
      const isReason = row.item != null || row.feature != null;
      if (!isReason) return { name: row.part, size: size(row) };
      const name = row.feature ?? titleOf(row);
      const detail = row.feature ? '' : ratingWords(scale, row.rating);
      return { name, detail, size: size(row), isReason };
    });
    const { n_more: nMore, more, total } = answer;
    if (nMore) parts.push({ name: `${nMore} more`, size: more });
    const write = writer([...answer.parts.map(size), total]);
    const totalName = model.goal === 'rating' ? 'Expected rating' : 'Score';
    return [reasonTable({ parts, total, totalName, write })];
  }

  async similar({ id, model }) {
    const rows = await this.questions.similar(model, id, N_SIMILAR);
    if (!rows.length) {
      const textContent = 'Nothing that is similar has enough ratings.';
      return [make('p', { className: 'note', textContent })];
    }
    const entries = rows.map((row) => {
      const link = { className: 'link' };
      const open = button(titleOf(row), () => this.open(row.item, model), link);
      const similarity = make('small', { textContent: row.similarity.toFixed(2) });
      return make('li', {}, open, similarity);
    });
    return [make('ol', { className: 'similar' }, ...entries)];
  }
}
