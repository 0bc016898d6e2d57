// What a person has rated: each item with its rating and a button that removes it.

import { drawList, make } from './elements.js';
import { ratingInput } from './rating-input.js';

export class RatedList {
  // onOpen may be missing: then titles are only text
  constructor({ scale, onChange, onRemove, onOpen, onEmpty }) {
    Object.assign(this, { scale, onChange, onRemove, onOpen, onEmpty });
    this.element = make('ul', { className: 'history' });
  }

  // entries: [{key, title, rating}]
  draw(entries) {
    drawList(this.element, entries, {
      key: (entry) => entry.key,
      create: (entry) => this.createRow(entry),
      update: (row, entry) => row.input.set(entry.rating),
    });
  }

  createRow({ key, title, rating }) {
    const input = ratingInput({
      scale: this.scale,
      value: rating,
      label: `rating of ${title}`,
      onChange: (value) => this.onChange(key, value),
    });
    const name = this.onOpen
      ? make('button', { type: 'button', className: 'title link', textContent: title })
      : make('span', { className: 'title', textContent: title });
    if (this.onOpen) name.addEventListener('click', () => this.onOpen(key));
    const remove = make('button', {
      type: 'button',
      className: 'icon remove',
      textContent: '×',
      title: 'Remove',
      ariaLabel: `remove ${title}`,
    });
    const controls = make('span', { className: 'controls' }, input.element, remove);
    const element = make('li', {}, name, controls);
    remove.addEventListener('click', () => this.remove(key, element));
    return { element, input };
  }

  // The focus goes to the row that takes the place of the one that is removed
  remove(key, element) {
    const near = element.nextElementSibling ?? element.previousElementSibling;
    this.onRemove(key);
    if (near) near.querySelector('.remove').focus();
    else this.onEmpty?.();
  }
}
