// For whom things are recommended: a new person by their ratings, or a known user.

import { announce } from './frame.js';
import { scaleOf } from './questions.js';
import { keyOf } from './state.js';
import { count, detailOf, ratingWords, titleOf } from './words.js';
import { make } from './widgets/elements.js';
import { RatedList } from './widgets/rated-list.js';
import { SearchBox } from './widgets/search-box.js';

const N_FOUND = 12;
const N_HINTS = 15;
const MAX_HISTORY = 1000;
const N_SIMILAR = 5;

// On a narrow page the recommendations come below, and should not be far
const isNarrow = () => matchMedia('(max-width: 1000px)').matches;

const button = (textContent, onClick, className = '') => {
  const element = make('button', { type: 'button', textContent, className });
  element.addEventListener('click', onClick);
  return element;
};

class NewPerson {
  constructor({ model, questions, state, onChange, onOpen }) {
    Object.assign(this, { model, questions, state, onChange, onOpen });
    this.scale = scaleOf(model);
    this.nDrawn = 0;
    const isLikes = this.scale.kind === 'likes';
    this.search = new SearchBox({
      id: 'search',
      label: isLikes ? 'Find what you like' : 'Find what you know',
      placeholder: 'A title or an id',
      find: (text) => this.find(text),
      pick: ({ item }) => this.add(item),
      none: (text) =>
        this.tell(
          text ? `Nothing here is called “${text}”.` : 'Type a title or an id.',
        ),
      fail: (error) => this.tell(error.status ? error.message : ''),
    });
    this.note = make('p', { className: 'note search-note' });
    this.list = new RatedList({
      scale: this.scale,
      onChange: (key, rating) => this.rate(JSON.parse(key), rating),
      onRemove: (key) => this.remove(JSON.parse(key)),
      onOpen: (key) => this.onOpen(JSON.parse(key)),
      onEmpty: () => this.search.input.focus(),
    });
    this.heading = make('h2', {
      textContent: isLikes ? 'What you like' : 'Your ratings',
    });
    this.clear = button('Remove all', () => this.removeAll(), 'quiet');
    this.hintList = make('ul', { className: 'hints' });
    this.hints = make(
      'div',
      { className: 'hint-place' },
      make('p', {
        className: 'note',
        textContent: 'Start with some of the most rated:',
      }),
      this.hintList,
    );
    this.element = make(
      'div',
      {},
      this.search.element,
      this.note,
      this.heading,
      this.list.element,
      this.clear,
      this.hints,
    );
  }

  async find(text) {
    const items = await this.questions.find(text, N_FOUND);
    this.note.textContent = '';
    return items.map((item) => ({
      key: keyOf(item.item),
      item,
      title: titleOf(item),
      detail: detailOf(item, this.model.item_columns),
    }));
  }

  tell(text) {
    this.note.textContent = text;
    announce(text);
  }

  pairOf(id) {
    return this.state.ratings.find(([other]) => keyOf(other) === keyOf(id));
  }

  add(item) {
    const { kind, low, high } = this.scale;
    this.note.textContent = '';
    if (this.pairOf(item.item)) {
      this.tell(`${titleOf(item)} is in your list.`);
      return;
    }
    announce(`${titleOf(item)} added.`);
    if (kind === 'stars' && !this.state.ratings.length) {
      this.note.textContent = 'Taken for the best; change the stars below.';
    }
    this.rate(item.item, kind === 'counts' ? Math.max(1, low ?? 1) : high);
  }

  rate(id, rating) {
    const pair = this.pairOf(id);
    if (pair) pair[1] = rating;
    else this.state.ratings.unshift([id, rating]);
    this.onChange();
  }

  remove(id) {
    this.state.ratings = this.state.ratings.filter((pair) => pair !== this.pairOf(id));
    this.onChange();
  }

  removeAll() {
    this.state.ratings = [];
    this.onChange();
    this.search.input.focus();
  }

  async draw() {
    const drawn = ++this.nDrawn;
    const { ratings } = this.state;
    this.heading.hidden = !ratings.length;
    this.clear.hidden = ratings.length < 2;
    this.hints.hidden = ratings.length > 2;
    if (!this.hints.hidden) this.drawHints();
    const items = await Promise.all(
      ratings.map(([id]) =>
        this.questions.item(this.model, id).catch((error) => ({ item: id, error })),
      ),
    );
    if (drawn !== this.nDrawn || this.leaveOut(items)) return;
    this.list.draw(
      ratings.map(([id, rating], j) => ({
        key: keyOf(id),
        title: titleOf(items[j]),
        rating,
      })),
    );
  }

  // An item that is there no more, as in an old address, would make each request fail
  leaveOut(items) {
    const isLost = items.map(({ error }) => error?.status === 404);
    const nLost = isLost.filter(Boolean).length;
    if (!nLost) return false;
    this.state.ratings = this.state.ratings.filter((_, j) => !isLost[j]);
    this.tell(`${count(nLost, 'rating')} left out: of what this model does not know.`);
    this.onChange();
    return true;
  }

  async drawHints() {
    let items;
    try {
      this.mostRated ??= this.questions.find('', N_HINTS);
      items = await this.mostRated;
    } catch {
      this.mostRated = null; // asked again when the server is back
      return;
    }
    const hints = items
      .filter(({ item }) => !this.pairOf(item))
      .slice(0, isNarrow() ? 8 : 12)
      .map((item) =>
        make(
          'li',
          {},
          button(titleOf(item), () => this.addHint(item)),
        ),
      );
    this.hintList.replaceChildren(...hints);
  }

  // The next hint keeps the focus, as this one goes
  addHint(item) {
    const hints = [...this.hintList.querySelectorAll('button')];
    const place = hints.indexOf(document.activeElement);
    this.add(item);
    if (place >= 0) (hints[place + 1] ?? this.search.input).focus();
  }
}

class KnownUser {
  constructor({ model, questions, state, onChange, onOpen, onHistory }) {
    Object.assign(this, { model, questions, state, onChange, onOpen, onHistory });
    this.nDrawn = 0;
    this.search = new SearchBox({
      id: 'user-search',
      label: 'User',
      placeholder: 'An id',
      find: (text) => this.find(text),
      pick: ({ user }) => this.pick(user),
      none: (text) => this.tell(text ? `No user is called “${text}”.` : 'Type an id.'),
      fail: (error) => this.tell(error.status ? error.message : ''),
    });
    this.note = make('p', { className: 'note search-note' });
    this.history = make('div', {});
    this.near = make('div', {});
    this.element = make(
      'div',
      {},
      this.search.element,
      this.note,
      this.history,
      this.near,
    );
  }

  async find(text) {
    const users = await this.questions.findUsers(text, N_FOUND);
    return users.map(({ user, n_ratings: nRatings }) => ({
      key: keyOf(user),
      user,
      title: String(user),
      detail: count(nRatings, 'rating'),
    }));
  }

  tell(text) {
    this.note.textContent = text;
    announce(text);
  }

  pick(user) {
    this.state.user = user;
    this.onChange();
  }

  async draw() {
    const drawn = ++this.nDrawn;
    const { user } = this.state;
    this.note.textContent =
      user === null ? 'See what somebody rated, and what follows.' : '';
    if (user === null) return;
    this.search.input.value = String(user);
    try {
      const rows = await this.questions.history(user, MAX_HISTORY);
      if (drawn !== this.nDrawn) return;
      this.onHistory(new Set(rows.map((row) => keyOf(row.item))));
      this.drawHistory(rows);
    } catch (error) {
      if (drawn !== this.nDrawn) return;
      if (error.status) this.note.textContent = error.message;
      this.history.replaceChildren();
    }
    const near = await this.questions.similarUsers(user, N_SIMILAR).catch(() => []);
    if (drawn === this.nDrawn) this.drawNear(near);
  }

  drawHistory(rows) {
    const nShown = isNarrow() ? 5 : 12;
    const scale = scaleOf(this.model);
    const entry = (row) => {
      const title = button(titleOf(row), () => this.onOpen(row.item), 'link title');
      const rating = ratingWords(scale, row.rating);
      return make('li', {}, title, make('small', { textContent: rating }));
    };
    const list = make(
      'ul',
      { className: 'history' },
      ...rows.slice(0, nShown).map(entry),
    );
    const more = button(
      `Show all ${rows.length}`,
      () => {
        const rest = rows.slice(nShown).map(entry);
        list.append(...rest);
        more.remove();
        rest[0].querySelector('button').focus();
      },
      'quiet',
    );
    const heading = make('h2', { textContent: count(rows.length, 'rating') });
    this.history.replaceChildren(heading, list);
    if (rows.length > nShown) this.history.append(more);
  }

  drawNear(rows) {
    const entries = rows.map(({ user, in_common: nCommon }) => {
      const near = button(String(user), () => this.pick(user));
      if (nCommon != null) near.title = `${count(nCommon, 'item')} in common`;
      return make('li', {}, near);
    });
    this.near.replaceChildren();
    if (!entries.length) return;
    this.near.append(
      make('h2', { textContent: 'Similar users' }),
      make('ul', { className: 'hints' }, ...entries),
    );
  }
}

export class Person {
  // options: {model, questions, state, onChange, onOpen}; onChange() is called when
  // somebody else, or somebody with other ratings, asks
  constructor(options) {
    Object.assign(this, options);
    this.userKeys = new Set();
    this.newPerson = new NewPerson(options);
    this.knownUser = new KnownUser({
      ...options,
      onHistory: (keys) => {
        this.userKeys = keys;
        this.onRated();
      },
    });
    this.modes = make(
      'fieldset',
      { className: 'modes' },
      make('legend', { className: 'visually-hidden', textContent: 'For whom' }),
      this.choice('new', 'You'),
      this.choice('known', 'A known user'),
    );
    this.modes.hidden = !this.model.can_fold_in;
    this.element = make(
      'section',
      { className: 'person', 'aria-label': 'For whom' },
      this.modes,
      this.newPerson.element,
      this.knownUser.element,
    );
  }

  choice(mode, words) {
    const radio = make('input', { type: 'radio', name: 'mode', value: mode });
    radio.addEventListener('change', () => {
      this.state.mode = mode;
      this.onChange();
    });
    return make('label', {}, radio, make('span', { textContent: words }));
  }

  get isKnown() {
    return this.state.mode === 'known';
  }

  // The keys of what they rated
  get ratedKeys() {
    if (!this.isKnown) return new Set(this.state.ratings.map(([id]) => keyOf(id)));
    return this.state.user === null ? new Set() : this.userKeys;
  }

  draw() {
    this.newPerson.element.hidden = this.isKnown;
    this.knownUser.element.hidden = !this.isKnown;
    for (const radio of this.modes.querySelectorAll('input')) {
      radio.checked = radio.value === this.state.mode;
    }
    if (this.isKnown) this.knownUser.draw();
    else this.newPerson.draw();
  }
}
