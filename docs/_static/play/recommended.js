// Recommendations with their reasons. A touch on a title shows what speaks for the film,
// and stars to rate it.

import { drawList, make } from '../widgets/elements.js';
import { ratingInput } from '../widgets/rating-input.js';
import { reasonTable } from '../widgets/reason-table.js';

const MAX_REASONS = 8;
const MAX_NAMED = 2;

const withoutYear = (title) => title.replace(/ \(\d{4}\)$/, '');

export class Recommended {
  constructor({ titles, scale, model, onRate }) {
    Object.assign(this, { titles, scale, model, onRate });
    this.hint = make('p', { className: 'hint' });
    this.list = make('ol', { id: 'recommended', role: 'list' });
    this.element = make('div', {}, this.hint, this.list);
  }

  // found: [[item, score], …]
  draw(found, ratings) {
    this.hint.hidden = found.length > 0;
    this.equations = ratings.size ? this.model.equations(ratings) : null;
    const best = found[0]?.[1];
    drawList(this.list, found, {
      key: ([item]) => item,
      create: ([item]) => this.createRow(item),
      update: (row, [item, score], place) => {
        row.rank.textContent = place + 1;
        row.fill.style.width = `${(100 * score) / best}%`;
        row.number.textContent = score.toFixed(2);
        this.explain(row, item, score, ratings);
      },
      moves: true,
    });
  }

  explain(row, item, score, ratings) {
    const reasons = this.model.reasons(item, ratings, this.equations);
    const names = reasons
      .filter(([, size]) => size > 0)
      .slice(0, MAX_NAMED)
      .map(([rated]) => withoutYear(this.titles[rated]));
    row.because.textContent = `because of ${names.join(' and ')}`;
    row.draw = () => {
      row.reasons.replaceChildren(this.table(reasons, score, ratings));
    };
    if (!row.panel.hidden) row.draw();
  }

  table(reasons, score, ratings) {
    const parts = reasons.slice(0, MAX_REASONS).map(([rated, size]) => ({
      name: this.titles[rated],
      detail: `${ratings.get(rated)}\u00a0★`,
      size,
      isReason: true,
    }));
    const rest = reasons.slice(MAX_REASONS);
    if (rest.length) {
      const size = rest.reduce((sum, [, value]) => sum + value, 0);
      parts.push({ name: `${rest.length} more`, size });
    }
    const write = (value) => value.toFixed(3);
    return reasonTable({ parts, total: score, totalName: 'Score', write });
  }

  createRow(item) {
    const title = this.titles[item];
    const rank = make('span', { className: 'rank', 'aria-hidden': 'true' });
    const name = make('button', {
      type: 'button',
      className: 'link title',
      textContent: title,
      'aria-expanded': 'false',
      'aria-controls': `why-${item}`,
    });
    const because = make('small');
    const fill = make('i');
    const bar = make('span', { className: 'bar', 'aria-hidden': 'true' }, fill);
    const number = make('small', { className: 'number' });
    const reasons = make('div');
    const input = ratingInput({
      scale: this.scale,
      value: null,
      label: `rating of ${title}`,
      onChange: (stars) => this.rate(item, stars),
    });
    const seen = make('div', { className: 'seen' }, 'Seen it? ', input.element);
    const panel = make(
      'div',
      { className: 'why', id: `why-${item}`, hidden: true },
      reasons,
      seen,
    );
    const element = make(
      'li',
      {},
      make(
        'div',
        { className: 'line' },
        rank,
        make('div', { className: 'words' }, name, because),
        make('div', { className: 'score' }, bar, number),
      ),
      panel,
    );
    const row = { element, name, rank, because, fill, number, reasons, panel };
    name.addEventListener('click', () => {
      panel.hidden = !panel.hidden;
      name.setAttribute('aria-expanded', String(!panel.hidden));
      if (!panel.hidden) row.draw();
    });
    return row;
  }

  // The focus goes to what takes the place of the film that is rated
  rate(item, stars) {
    const { element } = this.list.childrenByKey.get(item);
    const place = [...this.list.children].indexOf(element);
    this.onRate(item, stars);
    const next = this.list.children[place] ?? this.list.lastElementChild;
    next?.querySelector('.title').focus();
  }
}
