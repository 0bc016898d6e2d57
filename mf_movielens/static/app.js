// The page on which models are tried: who asks, what is recommended, and the map.

import { Api } from './api.js';
import {
  announce,
  askToken,
  byId,
  setUpScheme,
  setUpShare,
  showNotice,
  takeToken,
} from './frame.js';
import { ItemPanel } from './item-panel.js';
import { Person } from './person.js';
import { Questions, scaleOf } from './questions.js';
import { Results } from './results.js';
import { Settings } from './settings.js';
import { Store, fromFragment, keyOf, modelsOf } from './state.js';
import { count, titleOf } from './words.js';
import { ItemMap } from './widgets/item-map.js';
import { make } from './widgets/elements.js';

const SHOWN = 'mf-movielens-shown'; // names of the models that were chosen
const N_MAP = 400;
const N_GROUPS = 8;
const PAUSE_MS = 120; // a slider that moves asks once

class App {
  constructor({ api, models, onModels }) {
    Object.assign(this, { models, onModels });
    this.shown = chosenModels(models);
    [this.main] = this.shown;
    this.store = new Store(this.main.name, this.namesToTell(this.shown));
    this.state = fromFragment(location.hash) ?? this.store.load();
    if (!this.main.can_fold_in) this.state.mode = 'known';
    this.questions = new Questions(api, this.shown, this.state);
    this.build();
    this.again();
  }

  // Names of the models for the address, if others than the first two are shown
  namesToTell(shown) {
    const names = shown.map(({ name }) => name);
    const usual = this.models.slice(0, 2).map(({ name }) => name);
    return names.join() === usual.join() ? null : names;
  }

  build() {
    const { main, shown, state, questions } = this;
    const open = (id, model = main) => this.panel.open(id, model);
    const onChange = () => this.changed();
    this.person = new Person({
      model: main,
      questions,
      state,
      onChange: () => {
        this.person.draw();
        this.changed();
      },
      onOpen: open,
      onRated: () => this.markMap(),
    });
    this.settings = new Settings({
      models: this.models,
      shown,
      state,
      onChange,
      onModels: (names) => {
        try {
          localStorage.setItem(SHOWN, JSON.stringify(names));
        } catch {
          // without storage, the address knows
        }
        const chosen = names.filter(Boolean);
        const found = chosen.map((name) => this.models.find((m) => m.name === name));
        this.store.models = this.namesToTell(found);
        this.store.save(this.state);
        this.store.writeAddress();
        this.onModels();
      },
    });
    this.panel = new ItemPanel({
      questions,
      person: this.person,
      scale: scaleOf(main),
    });
    const isCompared = shown.length > 1;
    const onRetry = () => this.refresh();
    this.results = shown.map(
      (model) => new Results({ model, isCompared, onOpen: open, onRetry }),
    );
    this.empty = make('p', { className: 'message', hidden: true });
    this.columns = make(
      'div',
      { className: isCompared ? 'pair' : '' },
      ...this.results.map((results) => results.element),
    );
    this.mapPlace = make('section', {
      className: 'map-place',
      'aria-label': 'Map',
      hidden: true,
    });
    byId('app').replaceChildren(
      this.person.element,
      make(
        'div',
        { className: 'answers', id: 'main', tabIndex: -1 },
        make('h2', { textContent: 'Recommended' }),
        this.settings.element,
        this.empty,
        this.columns,
        this.mapPlace,
      ),
    );
    byId('app').removeAttribute('aria-busy');
    document.body.append(this.panel.element);
    this.describe();
  }

  describe() {
    const { n_users, n_items, n_ratings } = this.main;
    const size = [
      count(n_users, 'user'),
      count(n_items, 'item'),
      count(n_ratings, 'rating'),
    ];
    const names = this.shown.map((model) => model.name).join(' and ');
    byId('about').textContent = `${names}: ${size.join(', ')}`;
    document.title = `${names} – recommendations`;
  }

  // Ask for all that may be missing: at first, and after the server was gone
  again() {
    byId('share').hidden = !this.questions.hasPerson;
    this.person.draw();
    this.refresh(0);
    if (!this.map) this.drawMap();
  }

  changed() {
    this.store.save(this.state);
    byId('share').hidden = !this.questions.hasPerson;
    this.refresh();
  }

  leave() {
    this.store.writeAddress();
    this.running?.abort();
    clearTimeout(this.timer);
    this.panel.element.close();
    this.panel.element.remove();
  }

  // recommendations

  refresh(pause = PAUSE_MS) {
    this.running?.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    const { hasPerson } = this.questions;
    for (const results of this.results) results.setBusy(hasPerson);
    this.empty.hidden = hasPerson;
    this.columns.hidden = !hasPerson;
    clearTimeout(this.timer);
    if (hasPerson) this.timer = setTimeout(() => this.answer(signal), pause);
    else this.showEmpty();
  }

  showEmpty() {
    this.empty.textContent =
      this.state.mode === 'known'
        ? 'Pick a user to see what is recommended to them.'
        : 'Rate one or two things that you know, and recommendations appear here.';
    for (const results of this.results) results.clear();
    this.drawResults();
  }

  async answer(signal) {
    const errors = await Promise.all(
      this.results.map((results) => this.fill(results, signal)),
    );
    if (signal.aborted) return;
    this.drawResults();
    const error = errors.find((found) => found?.status);
    const isCondition = error?.status === 422 && /condition/i.test(error.message);
    this.settings.showError(isCondition ? error.message : '');
    if (isCondition) this.shortenErrors(error, errors);
    const [{ rows }] = this.results;
    if (error) announce(error.message);
    else if (rows.length) {
      announce(`${count(rows.length, 'recommendation')}, first ${titleOf(rows[0])}.`);
    }
  }

  // What is wrong with a condition for all models stands at the condition only
  shortenErrors(error, errors) {
    if (errors.some((other) => other?.message !== error.message)) return;
    this.settings.details.open = true;
    for (const results of this.results) {
      results.say(
        make('p', { textContent: 'Correct the condition to see recommendations.' }),
      );
    }
  }

  // Give a list its rows, and return the error if there is one
  async fill(results, signal) {
    try {
      const answer = await this.questions.recommend(results.model, signal);
      if (signal.aborted) return null;
      results.show(answer.rows);
      results.setNote(notesOn(answer, results.model).join(' '));
      return null;
    } catch (error) {
      // without a status there was no answer, which the page tells above
      if (!signal.aborted && error.status) results.showError(error);
      else if (error.name !== 'AbortError' && error.name !== 'TypeError') throw error;
      return error;
    } finally {
      if (!signal.aborted) results.setBusy(false);
    }
  }

  drawResults() {
    const ranks = this.results.map(
      ({ rows }) => new Map(rows.map((row, j) => [keyOf(row.item), j + 1])),
    );
    this.results.forEach((results, j) => results.draw(ranks[1 - j] ?? new Map()));
    this.markMap();
  }

  // the map

  async drawMap() {
    const category = this.main.item_columns.find(({ kind }) => kind === 'category');
    let items;
    try {
      items = await this.questions.map(N_MAP, category?.name);
    } catch (error) {
      if (error.status || error.name === 'TypeError') return; // the page does without it
      throw error;
    }
    if (items.length < 3) return;
    const groups = largestGroups(items);
    this.map = new ItemMap({
      label: 'Map of the items; the lists tell the same in words',
      items: items.map((item) => ({
        ...item,
        key: keyOf(item.item),
        title: titleOf(item),
        group: groups.length && !groups.includes(item.group) ? 'other' : item.group,
      })),
      groups,
      action: 'Open',
      onAction: (key) => this.panel.open(JSON.parse(key), this.main),
    });
    const n = items.length;
    const note = `The ${n} most rated items. What the same people like lies close together.`;
    this.mapPlace.replaceChildren(
      make('h2', { textContent: 'Map' }),
      make('p', { className: 'note', textContent: note }),
      this.map.element,
    );
    this.mapPlace.hidden = false;
    this.markMap();
  }

  markMap() {
    this.map?.mark(this.person.ratedKeys, this.results[0].keys);
  }
}

// Popularity breaks ties, and scores an item by a millionth at most
const LARGEST_TIE = 2e-6;

// What somebody should know of an answer
function notesOn({ rows, nUnknown, nUnused }, model) {
  const notes = [];
  if (nUnknown) {
    const ratings = count(nUnknown, 'rating');
    notes.push(`${ratings} left out: of what this model does not know.`);
  }
  if (nUnused) {
    const ratings = count(nUnused, 'rating');
    notes.push(`${ratings} left out: this model knows only what is liked.`);
  }
  const isTie = rows.every(({ score }) => Math.abs(score) <= LARGEST_TIE);
  if (model.goal === 'ranking' && rows.length && isTie) {
    notes.push('There is not enough to go on, so these are the most popular.');
  }
  return notes;
}

// The models that are shown: those of the address, those chosen, or the first two
function chosenModels(models) {
  let names = modelsOf(location.hash);
  try {
    names ??= JSON.parse(localStorage.getItem(SHOWN)) ?? [];
  } catch {
    names = []; // storage may be forbidden
  }
  const chosen = models.filter(({ name }) => names.includes(name));
  chosen.sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name));
  return (chosen.length ? chosen : models).slice(0, 2);
}

// The groups of most items; the others are one
function largestGroups(items) {
  const sizes = new Map();
  for (const { group } of items) {
    if (group) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  }
  const groups = [...sizes].sort((a, b) => b[1] - a[1]).map(([group]) => group);
  const rest = groups.length > N_GROUPS || items.some(({ group }) => !group);
  const isMixed = groups.length && rest;
  return [...groups.slice(0, N_GROUPS), ...(isMixed ? ['other'] : [])];
}

function start() {
  let app = null;
  setUpScheme();
  setUpShare();

  const api = new Api({
    askToken,
    onGone() {
      const retry = make('button', { type: 'button', textContent: 'Try again' });
      retry.addEventListener('click', () => api.look());
      showNotice('The server does not answer. This page waits for it.', retry);
    },
    onBack() {
      byId('notice').hidden = true;
      announce('The server is back.');
      if (app) app.again();
      else load();
    },
    // a newer model may have other items, columns and a map of its own
    onVersion() {
      announce('The model was replaced by a newer one.');
      load();
    },
  });

  async function load() {
    try {
      const { models } = await api.get('models');
      app?.leave();
      app = new App({ api, models, onModels: loadOthers });
    } catch (error) {
      if (error.status) showNotice(error.message);
      else if (!api.isGone) throw error;
    }
  }

  // Other models were chosen, in the settings, which stay as they are
  async function loadOthers() {
    await load();
    app.settings.details.open = true;
    app.settings.summary.focus();
  }

  takeToken(api);
  addEventListener('hashchange', () => {
    takeToken(api);
    if (app && fromFragment(location.hash)) load();
  });
  load();
}

start();
