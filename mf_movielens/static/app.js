// The page on which a model is tried: who is asking, what they rated, what follows.

import { Api } from './api.js';
import { describe, filterFields, toWhere } from './filters.js';
import { ItemPanel } from './item-panel.js';
import { Results } from './results.js';
import { Store, emptyState, fromFragment, keyOf } from './state.js';
import { count, detailOf, ratingWords, titleOf } from './words.js';
import { ItemMap } from './widgets/item-map.js';
import { RatedList } from './widgets/rated-list.js';
import { SearchBox } from './widgets/search-box.js';
import { field, make } from './widgets/elements.js';

const N_FOUND = 12;
const N_HINTS = 15;
const N_MAP = 400;
const isNarrow = () => matchMedia('(max-width: 1000px)').matches;
const nHistory = () => (isNarrow() ? 5 : 12);
const nHints = () => (isNarrow() ? 8 : 12);
const N_GROUPS = 8;
const MAX_SHOWN_MODELS = 2;

const byId = (id) => document.getElementById(id);

function scaleOf(model) {
  const [low, high] = model.accepted ?? model.scale;
  return { kind: model.kind, low, high };
}

const isAbort = (error) => error.name === 'AbortError';

class App {
  constructor(models) {
    this.models = models;
    this.main = models[0];
    this.shown = models.slice(0, MAX_SHOWN_MODELS);
    this.store = new Store(this.main.name);
    this.state = fromFragment(location.hash) ?? this.store.load();
    if (!this.main.can_fold_in) this.state.mode = 'known';
    this.items = new Map(this.shown.map((model) => [model.name, new Map()]));
    this.api = null;
  }

  get scale() {
    return scaleOf(this.main);
  }

  // asking the server

  item(model, id, signal) {
    const known = this.items.get(model.name);
    const key = keyOf(id);
    if (!known.has(key)) {
      const promise = this.api
        .get('items', { model: model.name, item: String(id) }, signal)
        .then(({ items }) => items[0]);
      promise.catch(() => known.delete(key));
      known.set(key, promise);
    }
    return known.get(key);
  }

  keep(model, rows) {
    const known = this.items.get(model.name);
    for (const row of rows) known.set(keyOf(row.item), Promise.resolve(row));
  }

  async find(text, k = N_FOUND) {
    const { items } = await this.api.get('items', {
      model: this.main.name,
      q: text,
      k,
    });
    this.keep(this.main, items);
    return items;
  }

  // What a model knows of the ratings, in its own words
  async ratingsFor(model) {
    if (model === this.main) return { ratings: this.state.ratings, nUnknown: 0 };
    const found = await Promise.all(
      this.state.ratings.map(([id]) =>
        this.item(model, id).catch((error) => {
          if (error.status === 404) return null;
          throw error;
        }),
      ),
    );
    const ratings = this.state.ratings.filter((_, j) => found[j]);
    return { ratings, nUnknown: found.length - ratings.length };
  }

  rules(model) {
    const { state } = this;
    return {
      model: model.name,
      k: state.k,
      where: toWhere(state.filters, model.item_columns, state.where) || undefined,
      diversity: state.diversity,
      popularity_discount: state.popularity,
      by: model.gives_intervals ? state.by : undefined,
    };
  }

  async recommend(model, signal) {
    const rules = this.rules(model);
    if (this.state.mode === 'known') {
      const parameters = { ...rules, user: String(this.state.user) };
      return { ...(await this.api.get('recommend', parameters, signal)), nUnknown: 0 };
    }
    const { ratings, nUnknown } = await this.ratingsFor(model);
    if (!ratings.length) return { recommendations: [], nUnknown };
    const rated = ratings.map(([item, rating]) => ({ item, rating }));
    const answer = await this.api.post('fold-in', { ...rules, ratings: rated }, signal);
    return { ...answer, nUnknown };
  }

  // Whether there is somebody to recommend to
  get hasPerson() {
    const { mode, user, ratings } = this.state;
    return mode === 'known' ? user !== null : ratings.length > 0;
  }

  asking() {
    return {
      item: (model, id) => this.item(model, id),
      similar: async (model, id, k) => {
        const answer = await this.api.get('similar', {
          model: model.name,
          item: String(id),
          k,
        });
        return answer.similar ?? answer.items;
      },
      explain: async (model, id) => {
        if (!this.hasPerson) return null;
        let answer;
        if (this.state.mode === 'known') {
          const parameters = {
            model: model.name,
            user: String(this.state.user),
            item: String(id),
          };
          answer = await this.api.get('explain', parameters);
        } else {
          const ratings = await this.ratedPairs(model);
          answer = await this.api.post('explain', {
            model: model.name,
            ratings,
            item: id,
          });
        }
        return answer.explanation ?? answer.reasons;
      },
      probabilities: async (model, id) => {
        if (!this.hasPerson) return null;
        const body = { model: model.name };
        if (this.state.mode === 'known')
          body.pairs = [{ user: this.state.user, item: id }];
        else
          Object.assign(body, { ratings: await this.ratedPairs(model), items: [id] });
        const { probabilities } = await this.api.post('probabilities', body);
        return probabilities[0].probabilities ?? probabilities[0];
      },
    };
  }

  async ratedPairs(model) {
    const { ratings } = await this.ratingsFor(model);
    return ratings.map(([item, rating]) => ({ item, rating }));
  }

  // the page

  build() {
    this.panel = new ItemPanel({
      ask: this.asking(),
      rating: {
        scale: this.scale,
        scaleOf,
        canRate: () => this.state.mode === 'new' && this.main.can_fold_in,
        get: (id) =>
          this.state.ratings.find(([other]) => keyOf(other) === keyOf(id))?.[1],
        set: (id, rating) => this.rate(id, rating),
        remove: (id) => this.remove(id),
      },
    });
    const isCompared = this.shown.length > 1;
    this.results = this.shown.map(
      (model) =>
        new Results({
          model,
          isCompared,
          onOpen: (id, of) => this.panel.open(id, of),
          onRetry: () => this.refresh(),
        }),
    );
    this.empty = make('p', { className: 'message', hidden: true });
    this.columns = make(
      'div',
      { className: isCompared ? 'pair' : '' },
      ...this.results.map((r) => r.element),
    );
    this.mapPlace = make('section', {
      className: 'map-place',
      'aria-labelledby': 'map-heading',
      hidden: true,
    });
    const app = byId('app');
    app.replaceChildren(
      make('div', { className: 'person' }, this.buildPerson()),
      make(
        'div',
        { className: 'answers', id: 'main', tabIndex: -1 },
        make('h2', { textContent: 'Recommended' }),
        this.buildSettings(),
        this.empty,
        this.columns,
        this.mapPlace,
      ),
    );
    app.removeAttribute('aria-busy');
    document.body.append(this.panel.element);
    this.about();
  }

  about() {
    const { name, n_users, n_items, n_ratings } = this.main;
    const size = [
      count(n_users, 'user'),
      count(n_items, 'item'),
      count(n_ratings, 'rating'),
    ].join(', ');
    const names = this.shown.map((model) => model.name).join(' and ');
    byId('about').textContent = `${names || name}: ${size}`;
    document.title = `${names} – recommendations`;
  }

  buildPerson() {
    this.person = make('div', {});
    const choice = (mode, words) => {
      const radio = make('input', {
        type: 'radio',
        name: 'mode',
        value: mode,
        checked: this.state.mode === mode,
      });
      radio.addEventListener('change', () => this.setMode(mode));
      return make('label', {}, radio, make('span', { textContent: words }));
    };
    const modes = make(
      'fieldset',
      { className: 'modes' },
      make('legend', { className: 'visually-hidden', textContent: 'For whom' }),
      choice('new', 'You'),
      choice('known', 'A known user'),
    );
    modes.hidden = !this.main.can_fold_in;
    this.modes = modes;
    this.buildNew();
    this.buildKnown();
    return make(
      'section',
      { 'aria-label': 'Who you are' },
      modes,
      this.newPart,
      this.knownPart,
    );
  }

  buildNew() {
    const isLikes = this.scale.kind === 'likes';
    this.search = new SearchBox({
      id: 'search',
      label: isLikes ? 'Find what you like' : 'Find what you know',
      placeholder: 'A title or an id',
      find: async (text) => {
        const items = await this.find(text);
        return items.map((item) => ({
          key: keyOf(item.item),
          item,
          title: titleOf(item),
          detail: detailOf(item, this.main.item_columns),
        }));
      },
      pick: ({ item }) => this.add(item),
      none: (text) =>
        this.tell(
          text ? `Nothing here is called “${text}”.` : 'Type a title or an id.',
          true,
        ),
    });
    this.searchNote = make('p', { className: 'note', id: 'search-note' });
    this.rated = new RatedList({
      scale: this.scale,
      onChange: (key, rating) => this.rate(JSON.parse(key), rating),
      onRemove: (key) => this.remove(JSON.parse(key)),
      onOpen: (key) => this.panel.open(JSON.parse(key), this.main),
      onEmpty: () => this.search.input.focus(),
    });
    this.clearAll = make('button', {
      type: 'button',
      className: 'quiet',
      textContent: 'Remove all',
    });
    this.clearAll.addEventListener('click', () => {
      this.state.ratings = [];
      this.changed();
      this.search.input.focus();
    });
    this.hints = make('ul', { className: 'hints' });
    this.hintPlace = make(
      'div',
      {},
      make('p', {
        className: 'note',
        textContent: 'Or start with some of the most rated:',
      }),
      this.hints,
    );
    this.newPart = make(
      'div',
      {},
      this.search.element,
      this.searchNote,
      make('h2', { textContent: isLikes ? 'What you like' : 'Your ratings' }),
      this.rated.element,
      this.clearAll,
      this.hintPlace,
    );
    this.ratedHeading = this.newPart.querySelector('h2');
  }

  buildKnown() {
    this.userSearch = new SearchBox({
      id: 'user-search',
      label: 'User',
      placeholder: 'An id',
      find: async (text) => {
        const { users } = await this.api.get('users', {
          model: this.main.name,
          q: text,
          k: N_FOUND,
        });
        return users.map(({ user, n_ratings }) => ({
          key: keyOf(user),
          user,
          title: String(user),
          detail: count(n_ratings, 'rating'),
        }));
      },
      pick: ({ user }) => this.setUser(user),
      none: (text) =>
        this.tell(
          text ? `No user is called “${text}”.` : 'Type the id of a user.',
          true,
        ),
    });
    this.userNote = make('p', { className: 'note' });
    this.userHistory = make('div', {});
    this.knownPart = make(
      'div',
      {},
      this.userSearch.element,
      this.userNote,
      this.userHistory,
    );
  }

  buildSettings() {
    const { state } = this;
    const change = (name, value) => {
      state[name] = value;
      this.changed({ only: 'rules' });
    };
    const slider = (label, name, max, hint) => {
      const output = make('output', { textContent: state[name] });
      const input = make('input', {
        type: 'range',
        min: 0,
        max,
        step: 0.1,
        value: state[name],
      });
      const put = () => {
        output.textContent = input.value;
        change(name, input.valueAsNumber);
      };
      input.addEventListener('input', put);
      this.resets.push(() => {
        input.value = state[name];
        output.textContent = state[name];
      });
      input.title = hint;
      return make(
        'label',
        { className: 'field' },
        make('span', {}, label, ' ', output),
        input,
      );
    };
    this.resets = [];
    const k = make(
      'select',
      {},
      ...[5, 10, 20, 50].map((n) => make('option', { value: n, textContent: n })),
    );
    if (![...k.options].some((option) => Number(option.value) === state.k)) {
      k.append(make('option', { value: state.k, textContent: state.k }));
    }
    k.value = state.k;
    k.addEventListener('change', () => change('k', Number(k.value)));
    const fields = [
      field('Length of the list', k),
      slider(
        'Diversity',
        'diversity',
        1,
        'from 0, the best items, to 1, the most different ones',
      ),
      slider('Less of what is popular', 'popularity', 3, 'the popularity discount'),
    ];
    if (this.shown.some((model) => model.gives_intervals))
      fields.push(this.buildOrder(change));
    this.condition = make('input', {
      type: 'text',
      value: state.where,
      spellcheck: false,
      autocomplete: 'off',
      autocapitalize: 'off',
      placeholder: this.exampleCondition(),
      'aria-describedby': 'condition-error',
    });
    this.condition.addEventListener('change', () =>
      change('where', this.condition.value),
    );
    this.conditionError = make('p', {
      id: 'condition-error',
      className: 'error',
      hidden: true,
    });
    this.filterPlace = make('div', { className: 'filters' });
    const reset = make('button', {
      type: 'button',
      className: 'quiet',
      textContent: 'Reset all',
    });
    reset.addEventListener('click', () => this.resetRules());
    this.active = make('ul', { className: 'active' });
    this.summary = make('summary', { textContent: 'Filters and order' });
    this.drawFilters();
    return make(
      'div',
      { className: 'settings' },
      make(
        'details',
        {},
        this.summary,
        make(
          'div',
          { className: 'settings-body' },
          make('div', { className: 'fields' }, ...fields),
          this.filterPlace,
          make('div', {}, field('Condition', this.condition), this.conditionError),
          reset,
        ),
      ),
      this.active,
    );
  }

  buildOrder(change) {
    const select = make(
      'select',
      {},
      make('option', { value: 'mean', textContent: 'expected rating' }),
      make('option', { value: 'low', textContent: 'low end: nothing doubtful' }),
      make('option', { value: 'high', textContent: 'high end: what may surprise' }),
    );
    select.value = this.state.by;
    select.addEventListener('change', () => change('by', select.value));
    this.resets.push(() => {
      select.value = this.state.by;
    });
    return field('Order by', select);
  }

  exampleCondition() {
    const category = this.main.item_columns.find(({ kind }) => kind === 'category');
    const value = category?.values?.[0];
    return value
      ? `not ${category.name} == '${value}' and n_ratings > 20`
      : 'n_ratings > 20';
  }

  drawFilters() {
    const fields = filterFields(
      this.main.item_columns,
      this.state.filters,
      (name, filter) => {
        this.state.filters[name] = filter;
        this.changed({ only: 'rules' });
      },
    );
    this.filterPlace.replaceChildren(...fields);
  }

  // Show the filters that are set, each with a button that unsets it
  drawActive() {
    const entries = describe(this.state.filters, this.main.item_columns);
    if (this.state.where.trim())
      entries.push({ name: null, text: this.state.where.trim() });
    const chips = entries.map(({ name, text }) => {
      const remove = make('button', {
        type: 'button',
        textContent: `${text} ×`,
        ariaLabel: `remove the filter ${text}`,
      });
      remove.addEventListener('click', () => {
        if (name === null) {
          this.state.where = '';
          this.condition.value = '';
        } else {
          delete this.state.filters[name];
          this.drawFilters();
        }
        this.changed({ only: 'rules' });
        (this.active.querySelector('button') ?? this.summary).focus();
      });
      return make('li', {}, remove);
    });
    this.active.replaceChildren(...chips);
    this.active.hidden = !chips.length;
  }

  resetRules() {
    const empty = emptyState();
    for (const name of ['filters', 'where', 'diversity', 'popularity', 'by']) {
      this.state[name] = empty[name];
    }
    this.condition.value = '';
    for (const reset of this.resets) reset();
    this.drawFilters();
    this.changed({ only: 'rules' });
  }

  // what people do

  setMode(mode) {
    this.state.mode = mode;
    this.changed();
  }

  setUser(user) {
    this.state.user = user;
    this.userSearch.input.value = String(user);
    this.changed();
  }

  add(item) {
    const key = keyOf(item.item);
    if (!this.state.ratings.some(([id]) => keyOf(id) === key)) {
      const rating =
        this.scale.kind === 'counts'
          ? Math.max(1, this.scale.low ?? 1)
          : this.scale.high;
      this.state.ratings.unshift([item.item, rating]);
      this.tell(`${titleOf(item)} added.`);
    } else {
      this.tell(`${titleOf(item)} is in your list.`, true);
    }
    this.changed();
  }

  rate(id, rating) {
    const pair = this.state.ratings.find(([other]) => keyOf(other) === keyOf(id));
    if (pair) pair[1] = rating;
    else this.state.ratings.unshift([id, rating]);
    this.changed();
  }

  remove(id) {
    this.state.ratings = this.state.ratings.filter(
      ([other]) => keyOf(other) !== keyOf(id),
    );
    this.changed();
  }

  // Say something to those who listen and, if it matters to all, below the search box
  tell(text, isShown = false) {
    byId('status').textContent = text;
    const note = this.state.mode === 'known' ? this.userNote : this.searchNote;
    note.textContent = isShown ? text : '';
  }

  changed({ only } = {}) {
    this.store.save(this.state);
    byId('share').hidden = !this.hasPerson;
    if (only !== 'rules') this.drawPerson();
    this.drawActive();
    this.refresh();
  }

  start() {
    this.build();
    byId('share').hidden = !this.hasPerson;
    this.drawPerson();
    this.drawActive();
    this.refresh(0);
    this.drawMap();
  }

  // Ask again for what may be missing, after the server was gone
  again() {
    this.drawPerson();
    this.refresh(0);
    if (!this.map) this.drawMap();
  }

  drawPerson() {
    const isKnown = this.state.mode === 'known';
    this.newPart.hidden = isKnown;
    this.knownPart.hidden = !isKnown;
    for (const radio of this.modes.querySelectorAll('input')) {
      radio.checked = radio.value === this.state.mode;
    }
    if (isKnown) this.drawKnown();
    else this.drawNew();
  }

  async drawNew() {
    const asked = (this.askedNew = (this.askedNew ?? 0) + 1);
    const { ratings } = this.state;
    this.ratedHeading.hidden = !ratings.length;
    this.clearAll.hidden = ratings.length < 2;
    this.hintPlace.hidden = ratings.length > 2;
    if (!this.hintPlace.hidden) this.drawHints();
    const items = await Promise.all(
      ratings.map(([id]) =>
        this.item(this.main, id).catch((error) => ({ item: id, error })),
      ),
    );
    if (asked !== this.askedNew) return;
    // an item that is there no more, as in an old address, would make each request fail
    const isLost = items.map(({ error }) => error?.status === 404);
    if (isLost.some(Boolean)) {
      this.state.ratings = ratings.filter((_, j) => !isLost[j]);
      this.tell(
        `${count(isLost.filter(Boolean).length, 'rating')} of what this model does not know left out.`,
        true,
      );
      this.changed();
      return;
    }
    this.rated.draw(
      ratings.map(([id, rating], j) => ({
        key: keyOf(id),
        title: titleOf(items[j]),
        rating,
      })),
    );
  }

  async drawHints() {
    try {
      this.mostRated ??= this.find('', N_HINTS);
      const rated = new Set(this.state.ratings.map(([id]) => keyOf(id)));
      const items = (await this.mostRated).filter(
        ({ item }) => !rated.has(keyOf(item)),
      );
      const entries = items.slice(0, nHints()).map((item) => {
        const button = make('button', { type: 'button', textContent: titleOf(item) });
        button.addEventListener('click', () => {
          this.add(item);
          this.search.input.focus({ preventScroll: true });
        });
        return make('li', {}, button);
      });
      this.hints.replaceChildren(...entries);
    } catch {
      this.mostRated = null;
    }
  }

  async drawKnown() {
    const { user } = this.state;
    const asked = (this.askedKnown = (this.askedKnown ?? 0) + 1);
    if (user === null) {
      this.userHistory.replaceChildren(
        make('p', {
          className: 'note',
          textContent:
            'Pick somebody from the ratings: see what they rated, and what the model recommends to them.',
        }),
      );
      return;
    }
    this.userSearch.input.value = String(user);
    this.userNote.textContent = '';
    const parameters = { model: this.main.name, user: String(user) };
    try {
      const answer = await this.api.get('history', { ...parameters, k: 1000 });
      if (asked !== this.askedKnown) return;
      const similar = make('div', {});
      this.userHistory.replaceChildren(
        this.historyOf(answer.history ?? answer.ratings),
        similar,
      );
      const near = await this.api.get('similar-users', { ...parameters, k: 5 });
      if (asked !== this.askedKnown) return;
      similar.replaceChildren(...this.similarUsers(near.users ?? near.similar_users));
    } catch (error) {
      if (asked !== this.askedKnown || isAbort(error)) return;
      if (error.status)
        this.userNote.textContent = error.status === 404 ? error.message : '';
      if (error.status === 404) this.userHistory.replaceChildren();
    }
  }

  historyOf(rows) {
    const nShown = nHistory();
    const scale = this.scale;
    const entry = (row) => {
      const title = make('button', {
        type: 'button',
        className: 'link title',
        textContent: titleOf(row),
      });
      title.addEventListener('click', () => this.panel.open(row.item, this.main));
      return make(
        'li',
        {},
        title,
        make('small', { textContent: ratingWords(scale, row.rating) }),
      );
    };
    this.knownKeys = new Set(rows.map((row) => keyOf(row.item)));
    this.markMap();
    const list = make(
      'ul',
      { className: 'history' },
      ...rows.slice(0, nShown).map(entry),
    );
    const part = make(
      'div',
      {},
      make('h2', { textContent: count(rows.length, 'rating') }),
      list,
    );
    if (rows.length > nShown) {
      const more = make('button', {
        type: 'button',
        className: 'quiet',
        textContent: `Show all ${rows.length}`,
      });
      more.addEventListener('click', () => {
        const rest = rows.slice(nShown).map(entry);
        list.append(...rest);
        more.remove();
        rest[0].querySelector('button').focus();
      });
      part.append(more);
    }
    return part;
  }

  similarUsers(rows) {
    if (!rows?.length) return [];
    const buttons = rows.map(({ user, in_common: inCommon }) => {
      const button = make('button', { type: 'button', textContent: String(user) });
      if (inCommon != null) button.title = `${count(inCommon, 'item')} in common`;
      button.addEventListener('click', () => this.setUser(user));
      return make('li', {}, button);
    });
    return [
      make('h2', { textContent: 'Similar users' }),
      make('ul', { className: 'hints' }, ...buttons),
    ];
  }

  // recommendations

  refresh(pause = 120) {
    this.running?.abort();
    const running = (this.running = new AbortController());
    for (const results of this.results) results.setBusy(true);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.answer(running.signal), pause);
  }

  async answer(signal) {
    if (!this.hasPerson) {
      this.showEmpty();
      return;
    }
    this.showPart(true);
    this.conditionError.hidden = true;
    this.condition.removeAttribute('aria-invalid');
    await Promise.all(this.results.map((results) => this.fill(results, signal)));
    if (signal.aborted) return;
    this.drawResults();
    const n = this.results[0].rows.length;
    if (n)
      byId('status').textContent =
        `${count(n, 'recommendation')}; first ${titleOf(this.results[0].rows[0])}.`;
  }

  async fill(results, signal) {
    const { model } = results;
    try {
      const { recommendations: rows, nUnknown } = await this.recommend(model, signal);
      await this.addColumns(model, rows, signal);
      if (signal.aborted) return;
      results.show(rows);
      results.setNote(
        nUnknown
          ? `${count(nUnknown, 'rating')} left out: of what this model does not know.`
          : '',
      );
    } catch (error) {
      if (signal.aborted || isAbort(error)) return;
      if (!error.status) return; // the page says that the server is gone
      this.showError(results, error);
    } finally {
      if (!signal.aborted) results.setBusy(false);
    }
  }

  showError(results, error) {
    results.showError(error);
    byId('status').textContent = error.message;
    if (error.status !== 422 || !/condition/i.test(error.message)) return;
    this.conditionError.textContent = error.message;
    this.conditionError.hidden = false;
    this.condition.setAttribute('aria-invalid', 'true');
  }

  // Give the rows what the table of items says of them
  async addColumns(model, rows, signal) {
    const wanted = model.item_columns.filter(
      ({ name, kind }) => kind !== 'text' && name !== 'item' && name !== 'n_ratings',
    );
    if (!wanted.length || !rows.length || wanted[0].name in rows[0]) return;
    const items = await Promise.all(
      rows.map((row) => this.item(model, row.item).catch(() => ({}))),
    );
    if (signal.aborted) return;
    rows.forEach((row, j) => {
      for (const { name } of wanted) row[name] = items[j][name];
    });
  }

  showEmpty() {
    this.empty.textContent =
      this.state.mode === 'known'
        ? 'Pick a user to see what is recommended to them.'
        : 'Rate one or two things that you know, and recommendations appear here.';
    for (const results of this.results) {
      results.show([]);
      results.setBusy(false);
    }
    this.showPart(false);
    this.drawResults();
  }

  // Either the recommendations, or what to do to get some
  showPart(hasResults) {
    this.empty.hidden = hasResults;
    this.columns.hidden = !hasResults;
  }

  drawResults() {
    const ranks = this.results.map(
      (results) => new Map(results.rows.map((row, j) => [keyOf(row.item), j + 1])),
    );
    this.results.forEach((results, j) => results.draw(ranks[1 - j] ?? new Map()));
    this.markMap();
  }

  // the map

  async drawMap() {
    const category = this.main.item_columns.find(({ kind }) => kind === 'category');
    try {
      const { items } = await this.api.get('map', {
        model: this.main.name,
        n: N_MAP,
        group: category?.name,
      });
      if (items.length < 3) return;
      const counts = new Map();
      for (const { group } of items)
        if (group) counts.set(group, (counts.get(group) ?? 0) + 1);
      const groups = [...counts].sort((a, b) => b[1] - a[1]).map(([group]) => group);
      const kept = new Set(groups.slice(0, N_GROUPS));
      this.map = new ItemMap({
        label: 'Map of the items; the lists tell the same in words',
        items: items.map((item) => ({
          ...item,
          key: keyOf(item.item),
          title: titleOf(item),
          group: kept.has(item.group) ? item.group : groups.length ? 'other' : '',
        })),
        groups: groups.length > N_GROUPS ? [...kept, 'other'] : [...kept],
        action: 'Open',
        onAction: (key) => this.panel.open(JSON.parse(key), this.main),
      });
      this.mapPlace.replaceChildren(
        make('h2', { id: 'map-heading', textContent: 'Map' }),
        make('p', {
          className: 'note',
          textContent: `The ${items.length} most rated items. Those that the same people like lie close together.`,
        }),
        this.map.element,
      );
      this.mapPlace.hidden = false;
      this.markMap();
    } catch {
      this.mapPlace.hidden = true; // the page does without it
    }
  }

  markMap() {
    const isKnown = this.state.mode === 'known';
    const rated = isKnown
      ? this.hasPerson && this.knownKeys
      : new Set(this.state.ratings.map(([id]) => keyOf(id)));
    this.map?.mark(rated || new Set(), this.results[0].keys);
  }
}

// the frame of the page

function askToken(wasWrong) {
  return new Promise((resolve) => {
    const input = make('input', {
      type: 'password',
      autocomplete: 'off',
      required: true,
    });
    const form = make(
      'form',
      { method: 'dialog' },
      make('h2', { id: 'token-title', textContent: 'This server asks for a token' }),
      make('p', {
        className: 'note',
        textContent: wasWrong
          ? 'That token is not the right one.'
          : 'It was given with --token when the server was started.',
      }),
      field('Token', input),
      make('button', { textContent: 'Continue' }),
    );
    const dialog = make(
      'dialog',
      { className: 'token', 'aria-labelledby': 'token-title' },
      form,
    );
    dialog.addEventListener('cancel', (event) => event.preventDefault());
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(input.value);
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}

function setUpScheme() {
  const button = byId('scheme');
  const system = matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;
  const isDark = () =>
    (root.dataset.scheme ?? (system.matches ? 'dark' : 'light')) === 'dark';
  const draw = () => {
    button.textContent = isDark() ? 'Light' : 'Dark';
    button.ariaLabel = isDark() ? 'light colours' : 'dark colours';
  };
  button.addEventListener('click', () => {
    const scheme = isDark() ? 'light' : 'dark';
    root.dataset.scheme = scheme;
    try {
      localStorage.setItem('mf-movielens-scheme', scheme);
    } catch {
      // it holds until the page is left
    }
    draw();
  });
  system.addEventListener('change', draw);
  draw();
}

function setUpShare() {
  byId('share').addEventListener('click', async () => {
    const button = byId('share');
    try {
      await navigator.clipboard.writeText(location.href);
      byId('status').textContent = 'The link is copied. It holds your ratings.';
      button.textContent = 'Copied';
    } catch {
      byId('status').textContent =
        'Copy the address of this page: it holds your ratings.';
      button.textContent = 'Copy the address above';
    }
    setTimeout(() => {
      button.textContent = 'Copy link';
    }, 3000);
  });
}

// A token in the address is kept for this tab, and taken out of the address
function tokenOfAddress(api) {
  const words = new URLSearchParams(location.hash.replace(/^#/, ''));
  if (!words.has('token')) return;
  api.setToken(words.get('token'));
  words.delete('token');
  const rest = words.toString();
  history.replaceState(
    null,
    '',
    location.pathname + location.search + (rest ? `#${rest}` : ''),
  );
}

function showNotice(text, button) {
  const notice = byId('notice');
  notice.replaceChildren(...[make('p', { textContent: text }), button].filter(Boolean));
  notice.hidden = false;
}

async function start() {
  let app = null;
  setUpScheme();
  setUpShare();
  const api = new Api({
    onGone() {
      const button = make('button', { type: 'button', textContent: 'Try again' });
      button.addEventListener('click', () => api.look());
      showNotice('The server does not answer. This page waits for it.', button);
    },
    onBack() {
      byId('notice').hidden = true;
      byId('status').textContent = 'The server is back.';
      if (app) app.again();
      else load();
    },
    onVersion() {
      byId('status').textContent = 'The model was replaced by a newer one.';
      restart();
    },
    askToken,
  });
  // a newer model may have other items, columns and a map of its own
  async function restart() {
    app.running?.abort();
    app.panel.element.close();
    app.panel.element.remove();
    api.versions.clear();
    await load();
  }
  async function load() {
    try {
      const { models } = await api.get('models');
      app = new App(models);
      app.api = api;
      app.start();
    } catch (error) {
      if (error.status) showNotice(error.message);
      else if (!api.isGone) throw error;
    }
  }
  tokenOfAddress(api);
  await load();
  addEventListener('hashchange', () => {
    const state = fromFragment(location.hash);
    if (!app || !state) return;
    restart();
  });
}

start();
