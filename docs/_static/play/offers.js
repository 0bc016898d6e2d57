// Films to rate at once: one touch gives stars, or says that the film was not seen. The
// next film takes the place of the one that was answered.

import { make, makeSvg } from '../widgets/elements.js';
import { STAR } from '../widgets/rating-input.js';

export const N_OFFERED = 3;
export const GOAL = 10;
const N_STARS = 5;

class Offer {
  constructor(onRate, onUnseen) {
    this.title = make('span', { className: 'title', id: `offer-${++Offer.count}` });
    this.detail = make('small');
    this.stars = Array.from({ length: N_STARS }, (_, j) => this.star(j + 1, onRate));
    this.unseen = make('button', {
      type: 'button',
      className: 'unseen',
      textContent: 'Not seen',
    });
    this.unseen.addEventListener('click', (event) => this.answer(event, onUnseen));
    this.element = make(
      'li',
      {},
      make('div', { className: 'words' }, this.title, ' ', this.detail),
      make(
        'div',
        { className: 'answers', role: 'group', 'aria-labelledby': this.title.id },
        make('span', { className: 'star-buttons' }, ...this.stars),
        this.unseen,
      ),
    );
  }

  star(stars, onRate) {
    const svg = makeSvg('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' });
    svg.append(makeSvg('polygon', { points: STAR }));
    const button = make('button', { type: 'button', className: 'star' }, svg);
    button.addEventListener('click', (event) => {
      this.answer(event, (item) => onRate(item, stars));
    });
    return button;
  }

  // The second click of a double click would be for the next film
  answer(event, tell) {
    if (event.detail < 2) tell(this.item);
  }

  set(item, title, detail) {
    this.item = item;
    this.title.textContent = title;
    this.detail.textContent = detail;
    this.stars.forEach((button, j) => {
      button.ariaLabel = `${title}: ${j + 1} ${j ? 'stars' : 'star'}`;
    });
    this.unseen.ariaLabel = `${title}: not seen`;
  }
}
Offer.count = 0;

export class Offers {
  // describe(item) gives {title, detail}
  constructor({ describe, onRate, onUnseen }) {
    this.describe = describe;
    this.offers = Array.from({ length: N_OFFERED }, () => new Offer(onRate, onUnseen));
    this.list = make(
      'ul',
      { className: 'offers' },
      ...this.offers.map((offer) => offer.element),
    );
    this.count = make('span', { id: 'progress-words' });
    this.progress = make('progress', {
      max: GOAL,
      'aria-labelledby': 'progress-words',
    });
    this.element = make(
      'div',
      {},
      make('p', { className: 'progress' }, this.count, this.progress),
      this.list,
    );
  }

  get items() {
    return this.offers.map(({ item }) => item).filter((item) => item !== undefined);
  }

  // Keep what is still to be answered; next(n, kept) gives n others
  draw(nRated, isAnswered, next) {
    const open = this.offers.filter(
      ({ item }) => item === undefined || isAnswered(item),
    );
    const kept = this.offers.filter((offer) => !open.includes(offer));
    const items = open.length
      ? next(
          open.length,
          kept.map(({ item }) => item),
        )
      : [];
    open.forEach((offer, j) => {
      const item = items[j];
      offer.element.hidden = item === undefined;
      if (item === undefined) offer.item = undefined;
      else {
        const { title, detail } = this.describe(item);
        offer.set(item, title, detail);
      }
    });
    this.progress.value = Math.min(nRated, GOAL);
    this.count.textContent =
      nRated < GOAL
        ? `${nRated} of ${GOAL} films rated`
        : `${nRated} films rated: enough for good recommendations`;
  }
}
