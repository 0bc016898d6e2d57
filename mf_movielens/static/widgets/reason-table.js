// What each part contributes to a score or to an expected rating, with their sum.

import { make } from './elements.js';

function line({ name, detail, size, share }, write) {
  const words = detail ? make('small', { textContent: ` ${detail}` }) : null;
  let bar = null;
  if (share) {
    const fill = make('i', { className: size < 0 ? 'less' : 'more' });
    fill.style.width = `${share * 50}%`;
    bar = make('span', { className: 'bar two-sided', 'aria-hidden': 'true' }, fill);
  }
  const text = `${size < 0 ? '−' : '+'}${write(Math.abs(size))}`;
  return make(
    'tr',
    {},
    make('th', { scope: 'row' }, String(name), words),
    make('td', {}, bar),
    make('td', { className: 'number', textContent: text }),
  );
}

// parts: [{name, detail, size, isReason}]. What is the same for all is no reason, and has
// no bar; write(size) gives its digits.
export function reasonTable({ parts, total, totalName, write }) {
  const sizes = parts.filter(({ isReason }) => isReason).map(({ size }) => size);
  const most = Math.max(...sizes.map(Math.abs), 1e-9);
  const lines = parts.map((part) =>
    line({ ...part, share: part.isReason ? Math.abs(part.size) / most : 0 }, write),
  );
  const sum = make(
    'tr',
    { className: 'sum' },
    make('th', { scope: 'row', textContent: totalName }),
    make('td'),
    make('td', { className: 'number', textContent: write(total) }),
  );
  return make(
    'table',
    { className: 'reasons', 'aria-label': 'What each part contributes' },
    make('tbody', {}, ...lines, sum),
  );
}
