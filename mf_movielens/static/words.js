// How items, numbers and models are told in words.

import { ratingText } from './widgets/rating-input.js';

export const titleOf = (item) => item.title || String(item.item);

const number = new Intl.NumberFormat('en');
export const count = (n, noun) => `${number.format(n)} ${noun}${n === 1 ? '' : 's'}`;

const HIDDEN = new Set([
  'item',
  'title',
  'n_ratings',
  'rank',
  'score',
  'similarity',
  'is_new',
]);

function valueText(value, kind) {
  if (value == null || value === '') return '';
  if (Array.isArray(value)) return value.slice(0, 4).join(', ');
  if (kind === 'date') return String(value).slice(0, 10);
  return typeof value === 'number' ? ratingText(value) : String(value);
}

// What the columns say of an item: '1996 · Crime, Drama'
export function detailOf(item, columns) {
  return columns
    .filter(({ name, kind }) => !HIDDEN.has(name) && kind !== 'text')
    .map(({ name, kind }) => valueText(item[name], kind))
    .filter(Boolean)
    .join(' · ');
}

export function ratingWords(scale, rating) {
  if (scale.kind === 'likes' || rating == null) return '';
  return scale.kind === 'stars' && scale.high <= 5
    ? `${ratingText(rating)} ★`
    : ratingText(rating);
}

// How to write numbers of one kind so that the largest has at least two digits
export function writer(values) {
  const most = Math.max(...values.map((value) => Math.abs(value ?? 0)), 1e-9);
  const digits = Math.min(6, Math.max(2, 1 - Math.floor(Math.log10(most))));
  return (value) => (value == null ? '–' : value.toFixed(digits));
}
