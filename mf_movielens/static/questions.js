// What the page asks of the models, for the person of its state.

import { toWhere } from './filters.js';
import { keyOf } from './state.js';

export function scaleOf(model) {
  const [low, high] = model.accepted ?? model.scale;
  return { kind: model.kind, low, high };
}

// An id as a word that is no title: of text that may be either, the server asks which
const wordOf = (id) => `id:${id}`;
const inBody = (id) => (typeof id === 'string' ? wordOf(id) : id);

// Where a rating is a like, as three quarters up the scale: four of one to five stars
const LIKED_FROM = 0.75;

// A rating on one scale as one on another; null if it says nothing there
export function converted(rating, from, to) {
  const isSame = from.low === to.low && from.high === to.high;
  if (from.kind === to.kind && (isSame || from.kind !== 'stars')) return rating;
  const share = from.kind === 'stars' ? (rating - from.low) / (from.high - from.low) : 1;
  if (to.kind === 'stars') return Math.round(to.low + share * (to.high - to.low));
  if (share < LIKED_FROM) return null;
  return to.kind === 'likes' ? to.high : 1;
}

export class Questions {
  constructor(api, models, state) {
    Object.assign(this, { api, state });
    this.main = models[0];
    this.items = new Map(models.map((model) => [model.name, new Map()]));
  }

  get isKnown() {
    return this.state.mode === 'known';
  }

  // Whether there is somebody to recommend to
  get hasPerson() {
    return this.isKnown ? this.state.user !== null : this.state.ratings.length > 0;
  }

  // items and users

  item(model, id) {
    const known = this.items.get(model.name);
    const key = keyOf(id);
    if (!known.has(key)) {
      const answer = this.api.get('items', { model: model.name, item: wordOf(id) });
      const promise = answer.then(({ items }) => items[0]);
      promise.catch(() => known.delete(key));
      known.set(key, promise);
    }
    return known.get(key);
  }

  async find(text, k) {
    const { items } = await this.api.get('items', {
      model: this.main.name,
      q: text,
      k,
    });
    this.keep(this.main, items);
    return items;
  }

  keep(model, items) {
    const known = this.items.get(model.name);
    for (const item of items) known.set(keyOf(item.item), Promise.resolve(item));
  }

  async findUsers(text, k) {
    const { users } = await this.api.get('users', {
      model: this.main.name,
      q: text,
      k,
    });
    return users;
  }

  async history(user, k) {
    const parameters = { model: this.main.name, user: String(user), k };
    return (await this.api.get('history', parameters)).history;
  }

  async similarUsers(user, k) {
    const parameters = { model: this.main.name, user: String(user), k };
    return (await this.api.get('similar-users', parameters)).similar;
  }

  async map(n, group) {
    return (await this.api.get('map', { model: this.main.name, n, group })).items;
  }

  // recommendations

  // The ratings of items that a model knows, on its scale, and the number of the others
  async ratingsFor(model) {
    const { ratings } = this.state;
    let known = ratings;
    if (model !== this.main) {
      const isKnown = await Promise.all(
        ratings.map(([id]) =>
          this.item(model, id).then(
            () => true,
            (error) => {
              if (error.status === 404) return false;
              throw error;
            },
          ),
        ),
      );
      known = ratings.filter((_, j) => isKnown[j]);
    }
    const scales = [scaleOf(this.main), scaleOf(model)];
    const used = known
      .map(([id, rating]) => ({
        item: inBody(id),
        rating: converted(rating, ...scales),
      }))
      .filter(({ rating }) => rating !== null);
    return {
      // the first one first, as they were given
      ratings: used.toReversed(),
      nUnknown: ratings.length - known.length,
      nUnused: known.length - used.length,
    };
  }

  rules(model) {
    const { state } = this;
    return {
      k: state.k,
      where: toWhere(state.filters, model.item_columns, state.where) || undefined,
      diversity: state.diversity || undefined,
      popularity_discount: state.popularity || undefined,
      by: model.gives_intervals ? state.by : undefined,
    };
  }

  // {rows, nUnknown, nUnused}
  async recommend(model, signal) {
    const rules = this.rules(model);
    const { name } = model;
    if (this.isKnown) {
      const parameters = { ...rules, model: name, user: String(this.state.user) };
      const answer = await this.api.get('recommend', parameters, signal);
      return { rows: await this.described(model, answer.recommendations) };
    }
    const { ratings, ...left } = await this.ratingsFor(model);
    if (!ratings.length) return { rows: [], ...left };
    const answer = await this.api.post(
      'fold-in',
      { model: name },
      { ...rules, ratings },
      signal,
    );
    return { rows: await this.described(model, answer.recommendations), ...left };
  }

  // Rows with what the table of items says of them, where an answer does not
  async described(model, rows) {
    const columns = model.item_columns
      .filter(({ name, kind }) => kind !== 'text' && name !== 'item')
      .map(({ name }) => name)
      .filter((name) => rows.length && !(name in rows[0]));
    if (!columns.some((name) => name !== 'n_ratings')) return rows;
    const known = this.items.get(model.name);
    const missing = rows.filter(({ item }) => !known.has(keyOf(item)));
    if (missing.length) {
      const ids = missing.map(({ item }) => wordOf(item));
      const { items } = await this.api.get('items', { model: model.name, item: ids });
      this.keep(model, items);
    }
    return Promise.all(
      rows.map(async (row) => ({ ...(await known.get(keyOf(row.item))), ...row })),
    );
  }

  // one item

  async similar(model, id, k) {
    const parameters = { model: model.name, item: wordOf(id), k };
    return (await this.api.get('similar', parameters)).similar;
  }

  // {parts, n_more, more, total}
  async explain(model, id, k) {
    if (this.isKnown) {
      const user = String(this.state.user);
      const parameters = { model: model.name, user, item: wordOf(id), k };
      return this.api.get('explain', parameters);
    }
    const { ratings } = await this.ratingsFor(model);
    return this.api.post(
      'explain',
      { model: model.name },
      { ratings, item: inBody(id), k },
    );
  }

  // [[rating, probability], …]
  async probabilities(model, id) {
    const body = this.isKnown
      ? { pairs: [{ user: this.state.user, item: inBody(id) }] }
      : { ratings: (await this.ratingsFor(model)).ratings, items: [inBody(id)] };
    const parameters = { model: model.name };
    const { values, rows } = await this.api.post('probabilities', parameters, body);
    return values.map((value, j) => [value, rows[0].probabilities[j] ?? 0]);
  }
}
