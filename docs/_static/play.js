// Recommend films to a new user, in the page. No library is needed, and nothing is sent.
// The elements are those of the app of `mf-movielens serve`.

import { make } from './widgets/elements.js';
import { ItemMap } from './widgets/item-map.js';
import { RatedList } from './widgets/rated-list.js';
import { SearchBox } from './widgets/search-box.js';
import { GOAL, Offers } from './play/offers.js';
import { RankingModel } from './play/ranking.js';
import { Recommended } from './play/recommended.js';
import { Sliders } from './play/sliders.js';
import {
  Store,
  emptyState,
  fromFragment,
  haveSameRatings,
  isOwnAddress,
} from './play/state.js';
import { Tabs } from './play/tabs.js';
import { Uncertainty } from './play/uncertainty.js';

const SCALE = { kind: 'stars', low: 1, high: 5 };
const N_FOUND = 12;
const TELL_PAUSE_MS = 700; // after a slider, so that not each step is read out

const button = (textContent, onClick, properties = {}) => {
  const element = make('button', { type: 'button', textContent, ...properties });
  element.addEventListener('click', onClick);
  return element;
};

const films = (n) => `${n} film${n === 1 ? '' : 's'}`;

class Page {
  constructor(data, bayesSource) {
    this.data = data;
    this.model = new RankingModel(data);
    this.items = new Map(data.titles.map((title, i) => [title.toLowerCase(), i]));
    this.itemOf = new Map(data.ids.map((id, i) => [id, i]));
    this.store = new Store((id) => this.itemOf.has(id));
    this.status = make('p', { role: 'status' });
    this.makeRating();
    this.makeAnswers(bayesSource);
    this.makeMap();
    this.start();
    addEventListener('hashchange', () => this.openLink());
  }

  // what is rated, and how

  makeRating() {
    const { titles, genres, genre } = this.data;
    this.offers = new Offers({
      describe: (item) => ({ title: titles[item], detail: genres[genre[item]] }),
      onRate: (item, stars) => this.rate(item, stars),
      onUnseen: (item) => this.leaveOut(item),
    });
    this.search = new SearchBox({
      id: 'film',
      label: 'Find a film that you know',
      placeholder: 'Type a part of its title',
      atOnce: true,
      find: (text) => this.matches(text),
      pick: ({ key }) => this.add(key),
      none: (text) =>
        this.say(
          text
            ? `No film here is called “${text}”. Those that are here come up as you type.`
            : 'Type a title, or touch a point of the map.',
        ),
    });
    this.history = new RatedList({
      scale: SCALE,
      onChange: (item, stars) => this.rate(item, stars),
      onRemove: (item) => this.remove(item),
      onEmpty: () => this.search.input.focus(),
    });
    this.copy = button('Copy a link', () => this.copyLink());
    this.link = make('input', {
      readOnly: true,
      hidden: true,
      ariaLabel: 'Link to these ratings',
    });
    this.clear = button('Remove all', () => this.removeAll());
    this.undo = button('Undo', () => this.takeBack(), { hidden: true });
  }

  makeAnswers(bayesSource) {
    const { titles, ids } = this.data;
    this.recommended = new Recommended({
      titles,
      scale: SCALE,
      model: this.model,
      onRate: (item, stars) => this.rate(item, stars),
    });
    this.sliders = new Sliders({
      model: this.model,
      onInput: (name, steps) => this.setSlider(name, steps),
    });
    this.uncertainty = new Uncertainty({ titles, ids, source: bayesSource });
    const panel = make('div', {}, this.sliders.element, this.recommended.element);
    this.tabs = new Tabs({
      label: 'Two models',
      tabs: [
        { name: 'recommended', title: 'Recommended', panel },
        { name: 'uncertainty', title: 'How sure?', panel: this.uncertainty.panel },
      ],
      onSelect: (tab) => {
        this.state.tab = tab;
        this.changed();
      },
    });
    this.note = make('div', {
      className: 'link-note',
      role: 'region',
      'aria-label': 'Ratings from a link',
      hidden: true,
    });
  }

  makeMap() {
    const { titles, x, y, genres, genre } = this.data;
    this.map = new ItemMap({
      label: 'Map of the films; the list tells the same in words',
      items: titles.map((title, item) => ({
        key: item,
        title,
        x: x[item],
        y: y[item],
        group: genres[genre[item]],
      })),
      groups: genres,
      action: 'Add',
      onAction: (item) => this.add(item),
    });
  }

  elements() {
    this.heading = make('h2', { textContent: 'Your ratings' });
    this.offered = make(
      'details',
      { open: this.state.ratings.size < GOAL },
      make('summary', { textContent: 'Films to rate' }),
      this.offers.element,
    );
    const tools = make('div', { className: 'tools' }, this.copy, this.clear, this.undo);
    const rating = make(
      'div',
      {},
      this.offered,
      this.search.element,
      this.heading,
      this.history.element,
      tools,
      this.link,
    );
    return [
      this.note,
      this.status,
      make('div', { className: 'columns' }, rating, this.tabs.element),
      this.map.element,
    ];
  }

  // the state: what was kept, or what the address has

  start() {
    this.own = this.store.load();
    this.state = { ...this.own, tab: 'recommended' };
    this.isVisiting = false;
    this.readAddress();
  }

  readAddress() {
    const { hash } = location;
    const given = fromFragment(hash, (id) => this.itemOf.has(id));
    if (!given) return;
    const { own } = this;
    if (isOwnAddress() && own.ratings.size) {
      this.isVisiting = false;
      this.state = { ...own, tab: given.tab };
      return;
    }
    const isOwn = !given.ratings.size || haveSameRatings(given.ratings, own.ratings);
    this.isVisiting = !isOwn && own.ratings.size > 0;
    const ratings = isOwn ? own.ratings : given.ratings;
    this.state = { ...given, ratings, unseen: own.unseen };
    if (!this.isVisiting) this.keep();
  }

  // A link that is opened while the page is there
  openLink() {
    this.readAddress();
    this.draw();
  }

  keep() {
    this.own = { ...this.state };
    this.store.save(this.own);
  }

  changed() {
    this.undo.hidden = true;
    if (!this.isVisiting) this.keep();
    this.store.show(this.state, !this.isVisiting);
    this.draw();
  }

  askWhoseRatings() {
    const n = this.state.ratings.size;
    this.note.hidden = !this.isVisiting;
    if (!this.isVisiting || this.note.childElementCount) return;
    const text = `You see ratings from a link. Your own, of ${films(this.own.ratings.size)}, are still kept.`;
    this.note.replaceChildren(
      make('p', { textContent: text }),
      button('Back to mine', () => this.answerLink(false)),
      button('Replace mine by these', () => this.answerLink(true)),
    );
    this.say(
      `The link has ratings of ${films(n)}. Yours are kept unless you replace them.`,
    );
  }

  answerLink(isTaken) {
    const { own } = this;
    if (!isTaken) this.state = { ...own, tab: this.state.tab };
    this.isVisiting = false;
    this.note.replaceChildren();
    this.changed();
    this.say(isTaken ? 'These ratings are yours now.' : 'These are your own ratings.');
    this.search.input.focus();
  }

  get ratings() {
    const entries = [...this.state.ratings];
    return new Map(entries.map(([id, stars]) => [this.itemOf.get(id), stars]));
  }

  // what people do

  say(text) {
    clearTimeout(this.timer);
    this.status.textContent = text;
  }

  // What was done, and which film is recommended first
  sayDone(text) {
    const first = this.found[0];
    this.say(
      first ? `${text} Recommended first: ${this.data.titles[first[0]]}.` : text,
    );
  }

  rate(item, stars) {
    const title = this.data.titles[item];
    this.state.ratings = new Map(this.state.ratings).set(this.data.ids[item], stars);
    this.changed();
    this.sayDone(`${title}: ${stars} ${stars > 1 ? 'stars' : 'star'}.`);
  }

  add(item) {
    const title = this.data.titles[item];
    if (this.state.ratings.has(this.data.ids[item])) {
      this.say(`${title} is among your ratings.`);
      return;
    }
    this.rate(item, SCALE.high);
    this.sayDone(`${title} added, with 5 stars.`);
  }

  leaveOut(item) {
    this.state.unseen = new Set(this.state.unseen).add(this.data.ids[item]);
    this.changed();
    this.say(`${this.data.titles[item]}: not seen.`);
  }

  remove(item) {
    this.state.ratings = new Map(this.state.ratings);
    this.state.ratings.delete(this.data.ids[item]);
    this.changed();
    this.sayDone(`${this.data.titles[item]} removed.`);
  }

  removeAll() {
    this.before = this.state;
    const { alpha, lambda, tab } = this.state;
    this.state = { ...emptyState(), alpha, lambda, tab };
    this.changed();
    if (!this.isVisiting) this.store.clear();
    this.undo.hidden = false;
    this.undo.focus();
    this.say('All ratings are removed, here and in this browser.');
  }

  takeBack() {
    this.state = this.before;
    this.changed();
    this.search.input.focus();
    this.sayDone('The ratings are back.');
  }

  async copyLink() {
    const link = this.store.linkTo(this.state);
    try {
      await navigator.clipboard.writeText(link);
      this.say('The link is copied. It has your ratings in it.');
    } catch {
      this.link.hidden = false;
      this.link.value = link;
      this.link.select();
      this.say('The link is selected, to be copied.');
    }
  }

  setSlider(name, steps) {
    this.state[name] = steps;
    this.changed();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.sayDone('The list has changed.'), TELL_PAUSE_MS);
  }

  // films by their titles

  // Films whose title has the text in it, words that begin with it first
  matches(text) {
    const lower = text.toLowerCase();
    const begins = (title) => ` ${title.toLowerCase()}`.includes(` ${lower}`);
    const found = this.data.titles
      .map((title, key) => ({ key, title }))
      .filter(({ title }) => title.toLowerCase().includes(lower));
    const first = found.filter(({ title }) => begins(title));
    const rest = found.filter(({ title }) => !begins(title));
    return lower ? [...first, ...rest].slice(0, N_FOUND) : [];
  }

  // the item of that title, else the first whose title has the text in it, else -1
  find(text) {
    return this.items.get(text.toLowerCase()) ?? this.matches(text)[0]?.key ?? -1;
  }

  // what is shown

  draw() {
    const { titles, ids, known } = this.data;
    const { state, ratings } = this;
    this.model.set(this.model.defaultAlpha * 2 ** state.alpha, 2 ** state.lambda);
    this.found = ratings.size ? this.model.recommend(ratings) : [];
    this.tabs.show(state.tab);
    this.sliders.set(state);
    this.drawHint(ratings);
    this.recommended.draw(this.found, ratings);
    if (state.tab === 'uncertainty') this.uncertainty.draw(ratings);
    this.heading.hidden = !ratings.size;
    this.copy.hidden = !ratings.size;
    this.clear.hidden = !ratings.size && !state.unseen.size;
    this.link.hidden = true;
    this.history.draw(
      [...ratings]
        .reverse()
        .map(([key, rating]) => ({ key, title: titles[key], rating })),
    );
    const isAnswered = (item) => ratings.has(item) || state.unseen.has(ids[item]);
    this.offers.draw(ratings.size, isAnswered, (n, kept) =>
      this.model.mostTelling(n, ratings, known, isAnswered, kept),
    );
    this.map.mark(new Set(ratings.keys()), new Set(this.found.map(([item]) => item)));
    this.askWhoseRatings();
  }

  drawHint(ratings) {
    const { hint } = this.recommended;
    if (!ratings.size) {
      const example = button('Show me an example', () => {
        for (const title of this.data.example) this.add(this.find(title));
        this.search.input.focus();
      });
      const text =
        'Rate a film, and recommendations appear here, from the first one on.';
      hint.replaceChildren(text, ' ', example);
    } else if (Math.max(...ratings.values()) === SCALE.low) {
      hint.textContent =
        'A film with one star speaks for no other film. Rate one that you like.';
    } else {
      hint.textContent =
        'No film has a score above 0.00. Move the sliders back, or rate more films.';
    }
  }
}

async function start() {
  const place = document.getElementById('play');
  if (!place) return;
  let data;
  try {
    data = await (await fetch(place.dataset.source)).json();
  } catch {
    return; // the picture stays
  }
  const page = new Page(data, place.dataset.bayes);
  place.classList.add('widgets');
  place.replaceChildren(...page.elements());
  page.draw();
  window.play = page; // for those who look, and for the tests
}

start();
