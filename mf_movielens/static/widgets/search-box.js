// A field that finds items while text is typed: the combobox of the WAI-ARIA patterns,
// with a list of which the first entry is chosen until the arrows choose another.

import { make } from './elements.js';

const PAUSE_MS = 120;

export class SearchBox {
  // find(text) gives, or promises, [{key, title, detail}]; pick(entry) and none(text) are
  // called on Enter, fail(error) if find fails. At once: what find gives costs nothing, so there is no pause.
  constructor({ id, label, placeholder = '', find, pick, none, fail, atOnce = false }) {
    Object.assign(this, { id, find, pick, none, fail, atOnce });
    this.entries = [];
    this.active = -1;
    this.asked = 0;
    this.found = Promise.resolve();
    this.input = make('input', {
      type: 'text',
      id,
      placeholder,
      autocomplete: 'off',
      spellcheck: false,
      enterKeyHint: 'search',
      role: 'combobox',
      'aria-autocomplete': 'list',
      'aria-expanded': 'false',
      'aria-controls': `${id}-list`,
      autocapitalize: 'off',
    });
    this.list = make('ul', {
      id: `${id}-list`,
      role: 'listbox',
      'aria-label': label,
      hidden: true,
    });
    this.element = make(
      'div',
      { className: 'search' },
      make('label', { htmlFor: id, textContent: label }),
      make('div', { className: 'combobox' }, this.input, this.list),
    );
    this.listen();
  }

  listen() {
    this.input.addEventListener('input', () => this.ask());
    this.input.addEventListener('keydown', (event) => this.onKey(event));
    this.input.addEventListener('click', () => {
      if (this.list.hidden && this.input.value.trim()) this.ask(0);
    });
    this.input.addEventListener('blur', () => this.close());
    // the list does not take the focus from the field
    this.list.addEventListener('mousedown', (event) => event.preventDefault());
  }

  get isOpen() {
    return !this.list.hidden;
  }

  // Look for the text of the field; answers to an older text are left out
  ask(pause = this.atOnce ? 0 : PAUSE_MS) {
    const asked = ++this.asked;
    this.found = this.answer(asked, pause);
    return this.found;
  }

  async answer(asked, pause) {
    const text = this.input.value.trim();
    if (pause) await new Promise((resolve) => setTimeout(resolve, pause));
    if (asked !== this.asked) return;
    let entries = null;
    try {
      entries = await this.find(text);
    } catch (error) {
      this.fail?.(error);
    }
    if (asked !== this.asked) return;
    this.show(entries ?? []);
    if (text && entries && !entries.length) this.none?.(text);
  }

  show(entries) {
    this.entries = entries;
    this.list.replaceChildren(...entries.map((entry, j) => this.option(entry, j)));
    this.list.hidden = !entries.length || document.activeElement !== this.input;
    this.input.setAttribute('aria-expanded', String(this.isOpen));
    this.choose(entries.length ? 0 : -1);
  }

  option(entry, j) {
    const option = make(
      'li',
      { id: `${this.id}-${j}`, role: 'option', 'aria-selected': 'false' },
      make('span', { textContent: entry.title }),
      entry.detail ? make('small', { textContent: entry.detail }) : null,
    );
    option.addEventListener('click', () => this.take(entry));
    return option;
  }

  choose(j) {
    this.active = j;
    [...this.list.children].forEach((option, other) => {
      option.setAttribute('aria-selected', String(other === j));
    });
    const option = this.list.children[j];
    if (option && this.isOpen) {
      this.input.setAttribute('aria-activedescendant', option.id);
      option.scrollIntoView({ block: 'nearest' });
    } else {
      this.input.removeAttribute('aria-activedescendant');
    }
  }

  close() {
    this.asked += 1; // what is still on its way opens nothing
    this.list.hidden = true;
    this.input.setAttribute('aria-expanded', 'false');
    this.input.removeAttribute('aria-activedescendant');
  }

  clear() {
    this.input.value = '';
    this.entries = [];
    this.close();
  }

  onKey(event) {
    if (event.isComposing) return;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      if (!this.isOpen) this.ask(0);
      else this.step(event.key === 'ArrowDown' ? 1 : -1);
    } else if (event.key === 'Enter') {
      event.preventDefault();
      this.enter();
    } else if (event.key === 'Escape' && (this.isOpen || this.input.value)) {
      event.preventDefault();
      if (this.isOpen) this.close();
      else this.clear();
    }
  }

  step(by) {
    const n = this.entries.length;
    this.choose((this.active + by + n) % n);
  }

  async enter() {
    const text = this.input.value.trim();
    if (!this.isOpen) this.ask(0);
    await this.found;
    const entry = this.entries[this.active];
    if (entry && (text || this.isOpen)) this.take(entry);
    else if (!text) this.none?.(text);
  }

  take(entry) {
    this.clear();
    this.pick(entry);
  }
}
